"""Interpolation between two grids that share their outer edges; linear as products with small matrices.

Both grids come from `Geometry.with_spacing`, so every axis is a matrix of its own; a matrix product is the
fastest way there is on a CPU, and it needs no more memory than its result.
"""

from __future__ import annotations

import numpy as np


def linear_weights(source: int, target: int) -> np.ndarray:
    """Matrix [target, source] that takes values at `source` voxel centres to `target` centres over the same extent.

    Beyond the outermost centres the outermost value holds.
    """
    position = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    lower = np.minimum(position.astype(int), max(0, source - 2))
    share = (position - lower).astype(np.float32)
    weights = np.zeros((target, source), np.float32)
    rows = np.arange(target)
    weights[rows, lower] = 1 - share
    weights[rows, np.minimum(lower + 1, source - 1)] += share
    return weights


def resize_linear(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """`array` [Z, Y, X] on a grid of `shape` over the same extent; float32."""
    along_z, along_y, along_x = (linear_weights(s, t) for s, t in zip(array.shape, shape, strict=True))
    planes = np.tensordot(along_z, array.astype(np.float32, copy=False), axes=(1, 0))
    result: np.ndarray = along_y @ planes @ along_x.T
    return result


def resize_cubic(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """`image` [Z, Y, X] on a grid of `shape` over the same extent by cubic B-splines (SimpleITK); float32."""
    import SimpleITK as sitk

    source = sitk.GetImageFromArray(image.astype(np.float32))
    ratio = [s / t for s, t in zip(image.shape[::-1], shape[::-1], strict=True)]
    first = [0.5 * r - 0.5 for r in ratio]
    grid = sitk.GetArrayFromImage(
        sitk.Resample(source, list(shape[::-1]), sitk.Transform(), sitk.sitkBSpline3, first, ratio)
    )
    return np.asarray(grid, np.float32)
