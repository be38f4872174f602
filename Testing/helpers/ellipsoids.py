"""Ellipsoids drawn on any grid, whose volumes and lengths are known."""

from __future__ import annotations

import numpy as np

from helpers.volumes import as_rows
from LiverMRISegLib.volume import Geometry, Volume

HALF_AXES = (30.0, 22.0, 55.0)


def points_of(geometry: Geometry) -> np.ndarray:
    """World positions [Z, Y, X, 3]."""
    z, y, x = np.indices(geometry.shape)
    index = np.stack([x, y, z], -1) * np.array(geometry.spacing)
    return index @ np.array(geometry.direction).T + np.array(geometry.origin)


def grid(spacing=(2.0, 2.0, 3.0), half=(40.0, 36.0, 66.0), direction=None, shift=(0.0, 0.0, 0.0)) -> Geometry:
    """A grid around the world's zero, `half` mm to each side."""
    matrix = np.eye(3) if direction is None else direction
    reach = np.abs(matrix.T) @ np.array(half)
    size = tuple(int(np.ceil(2 * r / s)) for r, s in zip(reach, spacing, strict=True))
    origin = -matrix @ ((np.array(size) - 1) / 2 * np.array(spacing)) + np.array(shift)
    return Geometry(size, spacing, tuple(origin.tolist()), as_rows(matrix))


def ellipsoid(geometry: Geometry, half_axes=HALF_AXES, centre=(0.0, 0.0, 0.0)) -> np.ndarray:
    return (((points_of(geometry) - np.array(centre)) / np.array(half_axes)) ** 2).sum(-1) < 1


def labelmap_of(geometry: Geometry, value: int = 4, **shape) -> Volume:
    return Volume(ellipsoid(geometry, **shape).astype(np.uint8) * value, geometry, "seg")
