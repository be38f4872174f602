"""Where the organs of a label map are, how large they are, and whether the volume's edge cuts them."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.volume import Box

_COUNTED_AT_ONCE = 1 << 22
_NOTABLE_CONTACT = 0.01
# Up to here a table of all values is small.
_HIGHEST_LISTED = 2**16 - 1


def bounding_boxes(labelmap: np.ndarray) -> dict[int, Box]:
    """The box [Z, Y, X] around every label that occurs, except 0."""
    import SimpleITK as sitk

    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputePerimeterOff()
    statistics.Execute(sitk.GetImageFromArray(labelmap))
    boxes: dict[int, Box] = {}
    for value in statistics.GetLabels():
        x, y, z, width, height, depth = statistics.GetBoundingBox(value)
        boxes[int(value)] = (slice(z, z + depth), slice(y, y + height), slice(x, x + width))
    return boxes


def component_sizes(mask: np.ndarray) -> list[int]:
    """Voxels of every face-connected component, largest first."""
    import SimpleITK as sitk

    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    counts = voxel_counts(sitk.GetArrayViewFromImage(parts))[1:]
    return sorted((int(c) for c in counts), reverse=True)


def voxel_counts(labels: np.ndarray) -> np.ndarray:
    """How often every value from 0 to the largest occurs.

    `np.bincount` alone would copy the whole array as int64, eight times a label map's own memory.
    """
    flat = labels.reshape(-1)
    total = np.zeros(int(flat.max()) + 1 if flat.size else 1, np.int64)
    for start in range(0, flat.size, _COUNTED_AT_ONCE):
        counts = np.bincount(flat[start : start + _COUNTED_AT_ONCE])
        total[: len(counts)] += counts
    return total


def voxels_of_values(labels: np.ndarray) -> dict[int, int]:
    """How often each value that occurs does, of numbers from 0 to any size."""
    if labels.size and int(labels.max()) > _HIGHEST_LISTED:
        values, counts = np.unique(labels, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))
    counts = voxel_counts(labels)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def volumes_ml(labelmap: np.ndarray, labels: LabelSet, voxel_ml: float) -> dict[str, float]:
    """Volume in mL of every organ of `labels`, 0 where it is empty."""
    counts = dict(enumerate(voxel_counts(labelmap)))
    return {organ.name: float(counts.get(value, 0)) * voxel_ml for value, organ in labels.items()}


def touches_edge(mask: np.ndarray, box: Box, shape: tuple[int, ...]) -> bool:
    """Whether more than a sliver of an organ is in an outermost slice of a volume of `shape`; `mask` is its `box`."""
    contact = 0
    for axis, (part, length) in enumerate(zip(box, shape, strict=True)):
        contact += int(np.take(mask, 0, axis).sum()) if part.start == 0 else 0
        contact += int(np.take(mask, -1, axis).sum()) if part.stop == length else 0
    return contact > _NOTABLE_CONTACT * float(mask.sum()) ** (2 / 3)
