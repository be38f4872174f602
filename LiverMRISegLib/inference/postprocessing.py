"""Per-organ clean-up as the model package says (paper 003): nearness, largest component, holes, smallest volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.models.package.specification import OrganRule
from LiverMRISegLib.volume import Box, Geometry

_COUNTED_AT_ONCE = 1 << 22


def postprocess(labelmap: np.ndarray, labels: LabelSet, rules: Mapping[str, OrganRule], grid: Geometry) -> None:
    """Clean `labelmap` [Z, Y, X] of `grid` in place. What is dropped becomes background; a hole is filled only where
    nothing is.

    Components are connected through faces. An organ that must be near another stays as it is where that is missing.
    """
    boxes = bounding_boxes(labelmap)
    ruled = [(v, rules[organ.name]) for v, organ in labels.items() if organ.name in rules and v in boxes]
    # Organs that others must be near come first, holes last: both depend on what was dropped.
    for value, rule in sorted(ruled, key=lambda item: bool(item[1].near)):
        if rule.near:
            anchor = labels.value_of(organ_named(rule.near))
            if anchor in boxes:
                boxes[anchor] = _tight(labelmap, anchor, boxes[anchor])
                _keep_inside(labelmap, value, _grown(boxes[anchor], rule.near_mm, grid))
        _drop_components(labelmap[boxes[value]], value, rule, grid.voxel_volume_ml)
    for value, rule in ruled:
        if rule.fill_holes:
            _fill_holes(labelmap[boxes[value]], value)


def bounding_boxes(labelmap: np.ndarray) -> dict[int, Box]:
    """The box [Z, Y, X] around every label that occurs, except 0."""
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


def _tight(labelmap: np.ndarray, value: int, box: Box) -> Box:
    """The box around a label inside `box`; `box` itself if nothing of it is left."""
    found = bounding_boxes(np.where(labelmap[box] == value, labelmap[box], 0).astype(labelmap.dtype)).get(value)
    if found is None:
        return box
    z, y, x = (slice(b.start + f.start, b.start + f.stop) for b, f in zip(box, found, strict=True))
    return (z, y, x)


def _grown(box: Box, margin_mm: float, grid: Geometry) -> Box:
    by = [round(margin_mm / s) for s in grid.spacing[::-1]]
    z, y, x = (slice(max(0, part.start - m), part.stop + m) for part, m in zip(box, by, strict=True))
    return (z, y, x)


def _keep_inside(labelmap: np.ndarray, value: int, box: Box) -> None:
    kept = labelmap[box] == value
    labelmap[labelmap == value] = 0
    labelmap[box][kept] = value


def _drop_components(window: np.ndarray, value: int, rule: OrganRule, voxel_ml: float) -> None:
    if rule.keep_largest or rule.minimum_ml > 0:
        mask = window == value
        window[mask & ~_kept_components(mask, rule, voxel_ml)] = 0


def _fill_holes(window: np.ndarray, value: int) -> None:
    mask = window == value
    if mask.any():
        filled = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8)))) > 0
        window[filled & (window == 0)] = value


def _kept_components(mask: np.ndarray, rule: OrganRule, voxel_ml: float) -> np.ndarray:
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    ranked = sitk.GetArrayFromImage(sitk.RelabelComponent(parts, sortByObjectSize=True))
    counts = voxel_counts(ranked)
    keep = counts * voxel_ml >= rule.minimum_ml
    keep[0] = False
    if rule.keep_largest:
        keep[2:] = False
    return keep[ranked]
