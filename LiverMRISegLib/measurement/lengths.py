"""How long an organ is: along the patient's axis, and in whichever direction it is longest."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.volume import Geometry

_PAIRS_AT_ONCE = 1 << 22
# Cosine of 10 degrees.
_PARALLEL = 0.985


def craniocaudal_mm(mask: np.ndarray, geometry: Geometry) -> float:
    """Extent along the patient's head-to-foot axis, from edge to edge of the outermost slices.

    For axial slices it is their number times their distance: the "vertical length" by which the Lugano classification
    judges the spleen (Cheson et al., J Clin Oncol 2014; enlarged above 130 mm). `mask` is bool [Z, Y, X], not empty.
    """
    heights = _points(_corners(mask), geometry)[:, 2]
    between = float(heights.max() - heights.min())
    along = np.abs(np.array(geometry.direction)[2])
    if along.max() >= _PARALLEL:
        return between + geometry.spacing[int(along.argmax())]
    # Of an oblique grid centres are at so many heights that the outermost are nearly at the organ's ends.
    return between + min(geometry.spacing) / 2


def longest_mm(mask: np.ndarray, geometry: Geometry) -> float:
    """The longest straight line between two points of the organ (Feret's diameter), as sonography measures lengths.

    Between voxel centres, plus half the extent of a voxel along the line: of ellipsoids this is right in the mean,
    where centres alone are too short and outer corners too long (docs/studies/measurement.md). `mask` is bool
    [Z, Y, X], not empty.
    """
    points = _points(_corners(mask), geometry)
    first, second = _farthest(points)
    line = points[first] - points[second]
    between = float(np.linalg.norm(line))
    if between == 0:
        return float(max(geometry.spacing))
    along = np.abs(np.array(geometry.direction).T @ (line / between))
    return between + float(np.linalg.norm(along * np.array(geometry.spacing))) / 2


def _corners(mask: np.ndarray) -> np.ndarray:
    """Indices (z, y, x) of the voxels that are an end of the mask along all three axes.

    The corners of the mask's convex hull are among them, and with them the farthest points.
    """
    ends = mask.copy()
    for axis in range(3):
        line = np.moveaxis(mask, axis, 0)
        kept = np.zeros_like(line)
        first, last = line.argmax(0), len(line) - 1 - line[::-1].argmax(0)
        for place in (first, last):
            np.put_along_axis(kept, place[None], True, 0)
        ends &= np.moveaxis(kept, 0, axis)
    return np.argwhere(ends)


def _points(indices: np.ndarray, geometry: Geometry) -> np.ndarray:
    """World positions in mm of indices (z, y, x)."""
    matrix = np.array(geometry.direction) * np.array(geometry.spacing)
    return indices[:, ::-1] @ matrix.T + np.array(geometry.origin)


def _farthest(points: np.ndarray) -> tuple[int, int]:
    best, found = -1.0, (0, 0)
    rows = max(1, _PAIRS_AT_ONCE // len(points))
    for start in range(0, len(points), rows):
        block = points[start : start + rows]
        squared = ((block[:, None] - points[None]) ** 2).sum(-1)
        row, column = np.unravel_index(int(squared.argmax()), squared.shape)
        if squared[row, column] > best:
            best, found = float(squared[row, column]), (start + int(row), int(column))
    return found
