"""Per-organ clean-up as the model package says (paper 003): nearness, largest component, holes, smallest volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.measurement.label_shapes import bounding_boxes, voxel_counts
from LiverMRISegLib.models.package.specification import OrganRule
from LiverMRISegLib.volume import Box, Geometry


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
