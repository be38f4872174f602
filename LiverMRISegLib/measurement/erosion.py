"""Erosion in mm: what of a mask is at least so deep below its surface, whatever the spacing."""

from __future__ import annotations

import math

import numpy as np

from LiverMRISegLib.volume import Box

# Depths are sums of spacings that files give in few digits.
_TOLERANCE_MM = 1e-3


def eroded(mask: np.ndarray, spacing: tuple[float, float, float], depth_mm: float) -> np.ndarray:
    """The voxels of `mask` [Z, Y, X] whose centre is `depth_mm` or more from every voxel outside it.

    Distances are Euclidean, from a centre to the nearest point of the other voxel's box: those to the surface that the
    voxels have. They are separable, so each axis is passed once (Felzenszwalb and Huttenlocher 2012, section 2, with
    (max(|d| - 1/2, 0) * spacing)^2 as the parabola). Beyond the array nothing is known, and nothing is eroded from
    there: an organ that the edge of the volume cuts goes on behind it.

    Args:
        mask: bool.
        spacing: in mm along z, y, x.
        depth_mm: 0 or more.
    """
    squared = np.where(mask, np.float32(np.inf), np.float32(0))
    for axis, step in enumerate(spacing):
        squared = _nearest_along(squared, axis, step, depth_mm)
    return mask & (squared >= max(depth_mm - _TOLERANCE_MM, 0.0) ** 2)


def _nearest_along(squared: np.ndarray, axis: int, step: float, depth_mm: float) -> np.ndarray:
    """For every voxel the least of `squared` plus the squared distance along one axis; as far as `depth_mm` counts."""
    result = squared.copy()
    before, after = np.moveaxis(squared, axis, 0), np.moveaxis(result, axis, 0)
    for offset in range(1, min(len(before) - 1, math.ceil(depth_mm / step + 0.5)) + 1):
        distance = np.float32((step * (offset - 0.5)) ** 2)
        np.minimum(after[offset:], before[:-offset] + distance, out=after[offset:])
        np.minimum(after[:-offset], before[offset:] + distance, out=after[:-offset])
    return result


def grown_box(box: Box, shape: tuple[int, ...]) -> Box:
    """`box` with a voxel more on each side, as far as a volume of `shape` has it."""
    z, y, x = (slice(max(0, b.start - 1), min(n, b.stop + 1)) for b, n in zip(box, shape, strict=True))
    return (z, y, x)
