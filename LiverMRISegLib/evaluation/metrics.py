"""DSC, HD, HD95 and NSD per organ, by the rules of the FLARE challenge where it has one (methods.md 11).

MONAI measures the surfaces. HD95 has two usual definitions: the larger of the two directed 95th percentiles (MONAI and
most challenges; `hd95`), and the 95th percentile of the distances of both directions together (medpy, with which the
semi-supervised papers evaluate; `hd95_pooled`). The second is never the larger one but for rounding.

Both masks empty: DSC and NSD 1, distances 0. One of them empty: DSC and NSD 0, distances infinite. NSD is 0 if DSC is
below 0.2. For aorta, inferior vena cava and oesophagus only the slices between the reference's first and last are
compared. FLARE's own script drops the last of these by an off-by-one; `flare_parity` does so too, for figures that are
to stand beside FLARE's (`scripts/evaluate_challenge.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Organ
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.volume import Box, Volume, reorient, turned_to

# FLARE24's tolerances in mm; organs that it does not grade get that of organs of their size, other structures 3 mm.
TOLERANCE_MM: dict[str, float] = {
    "liver": 5.0, "right kidney": 3.0, "left kidney": 3.0, "spleen": 3.0, "pancreas": 5.0, "aorta": 2.0,
    "inferior vena cava": 2.0, "right adrenal gland": 2.0, "left adrenal gland": 2.0, "gallbladder": 2.0,
    "oesophagus": 3.0, "stomach": 5.0, "duodenum": 7.0, "portal and splenic vein": 2.0, "left atrium": 3.0,
}  # fmt: skip
TOLERANCE_OF_OTHERS_MM = 3.0
_LONG_ORGANS = ("aorta", "inferior vena cava", "oesophagus")
_LOWEST_DSC_FOR_NSD = 0.2


@dataclass(frozen=True)
class OrganScores:
    """Agreement for one organ of one case: DSC and NSD from 0 to 1, HD and both HD95 in mm, volumes in mL."""

    organ: str
    dsc: float
    nsd: float
    hd: float
    hd95: float
    hd95_pooled: float
    predicted_ml: float
    reference_ml: float


def evaluate_case(
    prediction: Volume,
    reference: Volume,
    predicted_labels: LabelSet,
    reference_labels: LabelSet,
    *,
    flare_parity: bool = False,
) -> list[OrganScores]:
    """Compare two label maps for every organ that both label sets name.

    Their axes may be in another order, or point the other way: voxels are compared where they are in the patient.

    Raises:
        InputError: they are not on the same grid, or have no organ in common.
    """
    common = [organ for organ in predicted_labels.organs if organ in reference_labels.organs]
    if not common:
        raise InputError(f"{prediction.name}: prediction and reference have no organ in common; check --labels")
    first, second = together(prediction, reference)
    spacing = second.geometry.spacing[::-1]
    return [
        _scores(
            organ,
            first.array == predicted_labels.value_of(organ),
            second.array == reference_labels.value_of(organ),
            (spacing[0], spacing[1], spacing[2]),
            flare_parity,
        )
        for organ in common
    ]


def together(prediction: Volume, reference: Volume) -> tuple[Volume, Volume]:
    """Both label maps on one grid, voxel beside voxel of the patient, with axes as near to LPS as they can be.

    Slices along z are wanted for the long organs, whatever the orientation of the files.

    Raises:
        InputError: their voxels are not at the same places.
    """
    turned = turned_to(prediction, reference.geometry, 0.05)
    if turned is None:
        raise InputError(
            f"{prediction.name}: prediction {prediction.geometry.size} and reference {reference.geometry.size} "
            "are not on the same grid; segment the image that the reference was drawn on"
        )
    # One grid, so that rounding cannot turn the two in different ways.
    return reorient(replace(turned, geometry=reference.geometry), "LPS"), reorient(reference, "LPS")


def _scores(
    organ: Organ, predicted: np.ndarray, reference: np.ndarray, spacing: tuple[float, float, float], parity: bool
) -> OrganScores:
    voxel_ml = math.prod(spacing) / 1000.0
    volumes = float(predicted.sum()) * voxel_ml, float(reference.sum()) * voxel_ml
    if organ.name in _LONG_ORGANS and reference.any():
        slices = np.flatnonzero(reference.any(axis=(1, 2)))
        # Of a single slice FLARE's own code leaves nothing, and has no figure; of nothing ours would be a full one.
        kept = slice(int(slices[0]), max(int(slices[-1]) + (0 if parity else 1), int(slices[0]) + 1))
        predicted, reference = predicted[kept], reference[kept]
    if not predicted.any() or not reference.any():
        equal = bool(predicted.any()) == bool(reference.any())
        distance = 0.0 if equal else math.inf
        return OrganScores(organ.name, float(equal), float(equal), distance, distance, distance, *volumes)
    box = _joint_box(predicted, reference)
    return _measured(organ.name, predicted[box], reference[box], spacing, volumes)


def _measured(
    organ: str,
    predicted: np.ndarray,
    reference: np.ndarray,
    spacing: tuple[float, float, float],
    volumes: tuple[float, float],
) -> OrganScores:
    import torch
    from monai.metrics import compute_surface_dice

    first, second = (torch.from_numpy(np.ascontiguousarray(m))[None, None].float() for m in (predicted, reference))
    dsc = dice(predicted, reference)
    distances = surface_distances(predicted, reference, spacing)
    hd = float(max(one.max() for one in distances))
    hd95 = float(max(np.percentile(one, 95) for one in distances))
    pooled = float(np.percentile(np.concatenate(distances), 95))
    nsd, tolerance = 0.0, TOLERANCE_MM.get(organ, TOLERANCE_OF_OTHERS_MM)
    if dsc >= _LOWEST_DSC_FOR_NSD:
        nsd = float(
            compute_surface_dice(
                first, second, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True
            )
        )
    return OrganScores(organ, dsc, nsd, hd, hd95, pooled, *volumes)


def surface_distances(
    predicted: np.ndarray, reference: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in mm from every surface voxel of each mask, bool [Z, Y, X] and not empty, to the other's surface."""
    import torch
    from monai.metrics.utils import get_edge_surface_distance

    first, second = (torch.from_numpy(np.ascontiguousarray(mask)).float() for mask in (predicted, reference))
    _, found, _ = get_edge_surface_distance(first, second, spacing=list(spacing), symmetric=True)
    there, back = (np.asarray(one.numpy(), np.float64) for one in found)
    return there, back


def _joint_box(first: np.ndarray, second: np.ndarray) -> Box:
    """The box around both masks with a margin of two voxels, so that surfaces at its edge stay surfaces."""
    union = first | second
    ranges = []
    for axis in range(3):
        used = np.flatnonzero(union.any(axis=tuple(a for a in range(3) if a != axis)))
        ranges.append(slice(max(0, int(used[0]) - 2), int(used[-1]) + 3))
    return (ranges[0], ranges[1], ranges[2])


def wrong_side_shares(
    prediction: Volume, reference: Volume, predicted_labels: LabelSet, reference_labels: LabelSet
) -> dict[str, float]:
    """Per paired organ of the reference, the share (0 to 1) of its voxels that the prediction calls the other side's.

    Organs that the reference does not show, or whose other side the prediction has no label for, are omitted.

    Raises:
        InputError: as `together`.
    """
    prediction, reference = together(prediction, reference)
    shares = {}
    for organ in reference_labels.organs:
        others = [other for other in predicted_labels.organs if _is_other_side(organ, other)]
        mask = reference.array == reference_labels.value_of(organ)
        if others and mask.any():
            called = np.isin(prediction.array[mask], [predicted_labels.value_of(other) for other in others])
            shares[organ.name] = float(called.mean())
    return shares


def _is_other_side(organ: Organ, other: Organ) -> bool:
    return organ.is_paired and other.is_paired and organ.type_code == other.type_code and organ.side != other.side
