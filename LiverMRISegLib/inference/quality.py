"""Volumes, and flags in plain words for what a person should look at before trusting a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.inference.postprocessing import bounding_boxes, component_sizes, voxel_counts
from LiverMRISegLib.models.package.specification import ANY_MODALITY, ModelSpec
from LiverMRISegLib.volume import Volume

_NOTABLE_PART = 0.02
_NOTABLE_CONTACT = 0.01
# A patient is larger; the file may give its lengths in another unit than mm.
_NOTABLY_SMALL_MM = 40.0


def volumes_ml(labelmap: np.ndarray, labels: LabelSet, voxel_ml: float) -> dict[str, float]:
    """Volume in mL of every organ of `labels`, 0 where it is empty."""
    counts = dict(enumerate(voxel_counts(labelmap)))
    return {organ.name: float(counts.get(value, 0)) * voxel_ml for value, organ in labels.items()}


def flags(volume: Volume, labelmap: np.ndarray, labels: LabelSet, spec: ModelSpec) -> list[str]:
    """What is noteworthy about an input and its result, the input first, then the organs in their order."""
    found = input_flags(volume, spec)
    boxes = bounding_boxes(labelmap)
    volumes = volumes_ml(labelmap, labels, volume.geometry.voxel_volume_ml)
    for value, organ in labels.items():
        if value not in boxes:
            found.append(f"{organ.name} was not found")
            continue
        mask = labelmap[boxes[value]] == value
        on_edge = [(s.start == 0, s.stop == n) for s, n in zip(boxes[value], labelmap.shape, strict=True)]
        if _touches_edge(mask, on_edge):
            found.append(f"{organ.name} touches the edge of the volume, its volume may be incomplete")
        sizes = component_sizes(mask)
        notable = _NOTABLE_PART * sum(sizes)
        parts = sum(size >= notable for size in sizes)
        if parts > 1:
            found.append(f"{organ.name} consists of {parts} separate parts")
        found.extend(_implausible(organ.name, volumes[organ.name], spec))
    return found


def input_flags(volume: Volume, spec: ModelSpec) -> list[str]:
    """Whether the input looks like another modality than the model's, and whether its sides are known."""
    found = []
    if volume.metadata.get("orientation_unknown"):
        found.append("the file does not say which way its axes point: left and right may be swapped, check the image")
    found.extend(volume.metadata.get("notes", ()))
    extent = max(n * s for n, s in zip(volume.geometry.size, volume.geometry.spacing, strict=True))
    if extent < _NOTABLY_SMALL_MM:
        found.append(f"the field of view is only {extent:.0f} mm: check the voxel spacing")
    modality = str(volume.metadata.get("modality", "")).upper()
    if modality and modality not in (spec.modality, "OT") and spec.modality != ANY_MODALITY:
        found.append(f"the input says it is {modality}, the model was made for {spec.modality}")
    elif spec.modality == "MR" and _looks_like_ct(volume.array):
        found.append("the input is likely not MR: its intensities look like Hounsfield units of a CT")
    return found


def _looks_like_ct(array: np.ndarray) -> bool:
    """Much of the image near -1000 (air) and much near 0 to 100 (soft tissue): MR magnitudes are not negative."""
    sample = array.reshape(-1)[:: max(1, array.size // 200_000)]
    air = float(np.mean((sample >= -1100) & (sample <= -800)))
    soft = float(np.mean((sample >= -150) & (sample <= 250)))
    return air > 0.05 and soft > 0.1 and float(sample.min()) >= -3100


def _touches_edge(mask: np.ndarray, on_edge: Sequence[tuple[bool, bool]]) -> bool:
    """Whether more than a sliver of the organ is in an outermost slice."""
    contact = 0
    for axis, (first, last) in enumerate(on_edge):
        contact += int(np.take(mask, 0, axis).sum()) if first else 0
        contact += int(np.take(mask, -1, axis).sum()) if last else 0
    return contact > _NOTABLE_CONTACT * float(mask.sum()) ** (2 / 3)


def _implausible(organ: str, volume: float, spec: ModelSpec) -> list[str]:
    bounds = spec.rule_for(organ).plausible_ml
    if bounds is None or bounds[0] <= volume <= bounds[1]:
        return []
    word = "small" if volume < bounds[0] else "large"
    return [f"{organ} has {volume:.0f} mL, unusually {word} (usual: {bounds[0]:.0f} to {bounds[1]:.0f} mL)"]
