"""DSC, HD, HD95 and NSD of one case, organ by organ, by the rules of the FLARE challenge.

The distances and areas are MONAI's; NSD with `use_subvoxels=True` equals the challenge's own (DeepMind's) figure.
The rules around them are those of FLARE24's evaluation script:

- both masks empty: DSC 1, NSD 1; one empty: DSC 0, NSD 0;
- aorta, inferior vena cava and oesophagus count only where the reference has slices of them, since references
  end them arbitrarily; its last slice is left out, as the challenge's half-open range does;
- DSC below 0.2: NSD 0.

The challenge has no rule for HD: it is 0 where both masks are empty, and undefined (nan) where one is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import LabelSet, Organ
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.volume import Geometry, Volume, reorient

if TYPE_CHECKING:
    import torch

# Millimetres; FLARE's values, and for the portal and splenic vein, which FLARE lacks, that of the other vessels.
NSD_TOLERANCE_MM: Mapping[Organ, float] = MappingProxyType({
    anatomy.LIVER: 5.0, anatomy.RIGHT_KIDNEY: 3.0, anatomy.LEFT_KIDNEY: 3.0, anatomy.SPLEEN: 3.0,
    anatomy.PANCREAS: 5.0, anatomy.AORTA: 2.0, anatomy.INFERIOR_VENA_CAVA: 2.0, anatomy.RIGHT_ADRENAL_GLAND: 2.0,
    anatomy.LEFT_ADRENAL_GLAND: 2.0, anatomy.GALLBLADDER: 2.0, anatomy.OESOPHAGUS: 3.0, anatomy.STOMACH: 5.0,
    anatomy.DUODENUM: 7.0, anatomy.PORTAL_AND_SPLENIC_VEIN: 2.0,
})  # fmt: skip
ONLY_LABELLED_SLICES = frozenset({anatomy.AORTA, anatomy.INFERIOR_VENA_CAVA, anatomy.OESOPHAGUS})
MINIMUM_DSC_FOR_NSD = 0.2
# Headers round directions and origins to float32; a true mismatch is far beyond a twentieth of a voxel.
_GRID_TOLERANCE = 0.05


@dataclass(frozen=True)
class MetricRow:
    """The figures of one organ: `dsc` and `nsd` 0 to 1, `hd` and `hd95` in mm (nan if undefined), volumes in mL."""

    organ: str
    dsc: float
    hd: float
    hd95: float
    nsd: float
    volume_ml: float
    reference_ml: float


def evaluate_case(
    prediction: Volume, reference: Volume, labels: LabelSet | tuple[LabelSet, LabelSet]
) -> list[MetricRow]:
    """Compare two label maps on the same grid.

    Args:
        prediction: integer label map [Z, Y, X].
        reference: the same; its axes may be permuted or flipped against the prediction's.
        labels: what the values mean: one set for both, or (of the prediction, of the reference). Organs that
            only one of the two knows are left out.

    Raises:
        InputError: the grids differ; nothing is resampled.
        UsageError: the two label sets have no organ in common.
    """
    own, theirs = labels if isinstance(labels, tuple) else (labels, labels)
    organs = [organ for organ in theirs.organs if organ in own.organs]
    if not organs:
        raise UsageError(f"label sets '{own.name}' and '{theirs.name}' have no organ in common; check --labels")
    prediction = _on_grid_of(prediction, reference)
    return [
        _compare(prediction.array == own.value_of(organ), reference.array == theirs.value_of(organ),
                 organ, reference.geometry)
        for organ in organs
    ]  # fmt: skip


def surface_dice(prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], tolerance: float) -> float:
    """NSD of two non-empty masks [Z, Y, X]: the share of both surfaces within `tolerance` mm of the other."""
    from monai.metrics import compute_surface_dice

    score = compute_surface_dice(
        *_as_classes(prediction, reference), [tolerance], spacing=[float(s) for s in spacing], use_subvoxels=True
    )
    return float(score)


def hausdorff(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], percentile: float | None = None
) -> float:
    """Hausdorff distance in mm of two non-empty masks [Z, Y, X]; `percentile` 95 gives HD95."""
    from monai.metrics import compute_hausdorff_distance

    masks = _as_classes(prediction, reference)
    return float(compute_hausdorff_distance(*masks, percentile=percentile, spacing=[float(s) for s in spacing]))


def _on_grid_of(prediction: Volume, reference: Volume) -> Volume:
    turned = reorient(prediction, reference.geometry.orientation)
    if not turned.geometry.is_close(reference.geometry, _GRID_TOLERANCE):
        sizes = " x ".join(map(str, turned.geometry.size)), " x ".join(map(str, reference.geometry.size))
        raise InputError(
            f"{prediction.name} ({sizes[0]}) and {reference.name} ({sizes[1]}) lie on different grids; "
            "segment the image that the reference was drawn on, or resample one of them"
        )
    return turned


def _compare(prediction: np.ndarray, reference: np.ndarray, organ: Organ, geometry: Geometry) -> MetricRow:
    volumes = tuple(float(mask.sum()) * geometry.voxel_volume_ml for mask in (prediction, reference))
    if organ in ONLY_LABELLED_SLICES and reference.any():
        slices = _labelled_slices(reference, geometry)
        prediction, reference = prediction[slices], reference[slices]
    if not prediction.any() and not reference.any():
        return MetricRow(organ.name, 1.0, 0.0, 0.0, 1.0, *volumes)
    if not prediction.any() or not reference.any():
        return MetricRow(organ.name, 0.0, math.nan, math.nan, 0.0, *volumes)
    box = _bounding_box(prediction | reference)
    prediction, reference = prediction[box], reference[box]
    spacing = geometry.spacing[::-1]
    dsc = 2.0 * float((prediction & reference).sum()) / float(prediction.sum() + reference.sum())
    nsd = 0.0
    if dsc >= MINIMUM_DSC_FOR_NSD:
        nsd = surface_dice(prediction, reference, spacing, NSD_TOLERANCE_MM[organ])
    far = hausdorff(prediction, reference, spacing), hausdorff(prediction, reference, spacing, 95.0)
    return MetricRow(organ.name, dsc, *far, nsd, *volumes)


def _labelled_slices(reference: np.ndarray, geometry: Geometry) -> tuple[slice, ...]:
    """The axial slices of a non-empty reference without its last; its only slice, where there is just one.

    (There the challenge's script compares nothing with nothing and has no figure.)
    """
    index_axis = next(i for i, letter in enumerate(geometry.orientation) if letter in "SI")
    axis = 2 - index_axis
    used = np.flatnonzero(reference.any(axis=tuple(a for a in range(3) if a != axis)))
    lower, upper = int(used[0]), int(used[-1])
    slices = [slice(None)] * 3
    if geometry.orientation[index_axis] == "I" and upper > lower:
        # The script sees volumes whose slices run upwards: its last slice is the uppermost.
        slices[axis] = slice(lower + 1, upper + 1)
    else:
        slices[axis] = slice(lower, max(upper, lower + 1))
    return tuple(slices)


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The box of a non-empty mask; what lies outside it changes no surface."""
    box = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


def _as_classes(prediction: np.ndarray, reference: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Two masks as MONAI wants them: [1, 1, Z, Y, X], with a border of background so that all surface counts."""
    import torch

    padded = [torch.from_numpy(np.pad(mask, 1)[None, None]) for mask in (prediction, reference)]
    return padded[0], padded[1]
