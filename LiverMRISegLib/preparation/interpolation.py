"""Interpolation between two grids that share their outer edges, as products with small matrices.

The edges are shared, so every axis is a matrix of its own; a matrix product is the fastest way there is on a CPU,
and it needs no more memory than its result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Voxels so far beyond the edge have no weight left in a cubic spline (0.27 ** 12 is 1e-7).
_SPLINE_MARGIN = 12


def linear_weights(source: int, target: int) -> np.ndarray:
    """Matrix [target, source] that takes values at `source` voxel centres to `target` centres over the same extent.

    Outside the outermost centres the outermost value is repeated.
    """
    position = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    lower = np.minimum(position.astype(int), max(0, source - 2))
    share = (position - lower).astype(np.float32)
    weights = np.zeros((target, source), np.float32)
    rows = np.arange(target)
    weights[rows, lower] = 1 - share
    weights[rows, np.minimum(lower + 1, source - 1)] += share
    return weights


def nearest_weights(source: int, target: int) -> np.ndarray:
    """Matrix [target, source] that takes the value of the nearest `source` voxel, the later one of two as near."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    weights = np.zeros((target, source), np.float32)
    weights[np.arange(target), np.clip(np.floor(position + 0.5).astype(int), 0, source - 1)] = 1
    return weights


def mean_weights(source: int, target: int) -> np.ndarray:
    """As `linear_weights` where nothing becomes coarser, else the mean of the linear function over each new voxel."""
    if target >= source:
        return linear_weights(source, target)
    samples = math.ceil(4 * source / target)
    mean: np.ndarray = linear_weights(source, samples * target).reshape(target, samples, source).mean(axis=1)
    return mean


def cubic_weights(source: int, target: int) -> np.ndarray:
    """Matrix [target, source] of the cubic B-spline through `source` voxels, the outermost values repeated beyond them.

    Those of `scipy.ndimage.zoom(order=3, mode="nearest", grid_mode=True)`, which nnU-Net resamples with.
    """
    if source == target:
        return np.eye(source, dtype=np.float32)
    position = (np.arange(target) + 0.5) * (source / target) - 0.5 + _SPLINE_MARGIN
    lower = np.floor(position).astype(int)
    t = position - lower
    padded = source + 2 * _SPLINE_MARGIN
    spline = np.zeros((target, padded))
    rows = np.arange(target)
    for step, basis in enumerate(((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)):
        spline[rows, lower - 1 + step] = basis / 6
    # What a spline of these coefficients is at the voxels; its inverse gives the coefficients of the values.
    samples = (4 * np.eye(padded) + np.eye(padded, k=1) + np.eye(padded, k=-1)) / 6
    weights = np.linalg.solve(samples.T, spline.T).T
    inner = weights[:, _SPLINE_MARGIN:-_SPLINE_MARGIN].copy()
    inner[:, 0] += weights[:, :_SPLINE_MARGIN].sum(axis=1)
    inner[:, -1] += weights[:, -_SPLINE_MARGIN:].sum(axis=1)
    return inner.astype(np.float32)


def resize_linear(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """`array` [Z, Y, X] on a grid of `shape` over the same extent; float32."""
    return resize_by(array, [linear_weights(s, t) for s, t in zip(array.shape, shape, strict=True)])


def resize_mean(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """As `resize_linear`, but the mean of all that a voxel covers along axes that become coarser; float32."""
    return resize_by(array, [mean_weights(s, t) for s, t in zip(array.shape, shape, strict=True)])


def resize_by(array: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """`array` [Z, Y, X] after a product with one of the three matrices [target, source] along each axis; float32."""
    along_z, along_y, along_x = weights
    planes = np.tensordot(along_z, array.astype(np.float32, copy=False), axes=(1, 0))
    result: np.ndarray = along_y @ planes @ along_x.T
    return result


def resize_cubic(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """`array` [Z, Y, X] on a grid of `shape` over the same extent by cubic B-splines; float32."""
    return resize_by(array, [cubic_weights(s, t) for s, t in zip(array.shape, shape, strict=True)])
