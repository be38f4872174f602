"""Labels of highest score on a finer grid, without ever holding a full-resolution stack of classes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from LiverMRISegLib.preparation.interpolation import linear_weights, nearest_weights
from LiverMRISegLib.volume import Box

_SLAB_VOXELS = 8_000_000


def nearest_labels_on_grid(labels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Labels [Z, Y, X] of the network's resolution, repeated on a grid of `shape`: faster, and coarser."""
    z, y, x = ((np.arange(t) * 2 + 1) * s // (2 * t) for s, t in zip(labels.shape, shape, strict=True))
    return labels[np.ix_(z, y, x)]


def labels_of_slabs(
    slabs: Iterable[np.ndarray],
    source: tuple[int, int, int],
    shape: tuple[int, int, int],
    nearest_axis: int | None = None,
) -> np.ndarray:
    """As `labels_on_grid` of the slabs [C, planes, Y, X] of logits put together: `source` planes, rows and columns.

    Every slab is dropped as soon as the labels that depend on it are made.
    """
    weights = _weights(source, shape, nearest_axis)
    last = [int(np.flatnonzero(row)[-1]) for row in weights[0]]
    first = [int(np.flatnonzero(row)[0]) for row in weights[0]]
    labels = np.zeros(shape, np.uint8)
    held: np.ndarray | None = None
    low = done = 0
    for slab in slabs:
        held = slab if held is None else np.concatenate([held, slab], axis=1)
        ready = done + sum(needed < low + held.shape[1] for needed in last[done:])
        if ready > done:
            along_z = weights[0][done:ready, low : low + held.shape[1]]
            labels[done:ready] = _labels(held, [along_z, *weights[1:]])
            done = ready
        spent = min(held.shape[1], min(first[done:], default=source[0]) - low)
        held, low = held[:, spent:].copy(), low + spent
    return labels


def labels_on_grid(logits: np.ndarray, shape: tuple[int, int, int], nearest_axis: int | None = None) -> np.ndarray:
    """The class of the highest linearly interpolated logit at every voxel of a grid over the same extent.

    The same labels as interpolating all classes and taking the argmax (the first class wins a tie), with memory
    for a few slices of one class besides the result. A class is only interpolated in the box outside which the
    background is higher at every voxel of the coarse grid, for there it cannot win.

    Args:
        logits: float32 [C, Z, Y, X] at the network's resolution.
        shape: of the result.
        nearest_axis: 0, 1 or 2 for an axis along which nothing is interpolated, the nearest voxel is taken.

    Returns:
        uint8 [Z, Y, X].
    """
    return _labels(logits, _weights(logits.shape[1:], shape, nearest_axis))


def _weights(source: tuple[int, ...], shape: tuple[int, ...], nearest_axis: int | None) -> list[np.ndarray]:
    """The matrix [target, source] of every axis."""
    sizes = zip(source, shape, strict=True)
    return [(nearest_weights if a == nearest_axis else linear_weights)(s, t) for a, (s, t) in enumerate(sizes)]


def _labels(logits: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """As `labels_on_grid`, of the grid that the matrices lead to."""
    shape = tuple(len(matrix) for matrix in weights)
    supports = [_support(scores >= logits[0], weights) for scores in logits]
    labels = np.zeros(shape, np.uint8)
    depth = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], depth):
        slab = slice(start, min(start + depth, shape[0]))
        best = _interpolated(logits[0], weights, (slab, slice(0, shape[1]), slice(0, shape[2])))
        for channel, support in enumerate(supports):
            box = _within(support, slab) if channel else None
            if box is not None:
                inner = (slice(box[0].start - start, box[0].stop - start), box[1], box[2])
                _improve(best[inner], labels[box], channel, _interpolated(logits[channel], weights, box))
    return labels


def _support(candidates: np.ndarray, weights: list[np.ndarray]) -> Box | None:
    """The box of fine voxels that any coarse voxel of `candidates` takes part in; None if there is no candidate."""
    ranges = []
    for axis, matrix in enumerate(weights):
        coarse = np.flatnonzero(candidates.any(axis=tuple(a for a in range(3) if a != axis)))
        if coarse.size == 0:
            return None
        fine = np.flatnonzero(matrix[:, coarse[0] : coarse[-1] + 1].any(axis=1))
        if fine.size == 0:  # a target coarser than the source may skip it
            return None
        ranges.append(slice(int(fine[0]), int(fine[-1]) + 1))
    return (ranges[0], ranges[1], ranges[2])


def _within(box: Box | None, slab: slice) -> Box | None:
    if box is None:
        return None
    z = slice(max(box[0].start, slab.start), min(box[0].stop, slab.stop))
    return (z, box[1], box[2]) if z.start < z.stop else None


def _interpolated(scores: np.ndarray, weights: list[np.ndarray], box: Box) -> np.ndarray:
    """The fine values [box] of one class; only the coarse voxels that matter are read."""
    (z, near_z), (y, near_y), (x, near_x) = (_rows(matrix, part) for matrix, part in zip(weights, box, strict=True))
    planes = np.tensordot(z, scores[near_z, near_y, near_x], axes=(1, 0))
    fine: np.ndarray = (y @ planes) @ x.T
    return fine


def _rows(matrix: np.ndarray, part: slice) -> tuple[np.ndarray, slice]:
    rows = matrix[part]
    used = np.flatnonzero(rows.any(axis=0))
    near = slice(int(used[0]), int(used[-1]) + 1)
    return np.ascontiguousarray(rows[:, near]), near


def _improve(best: np.ndarray, labels: np.ndarray, channel: int, scores: np.ndarray) -> None:
    np.copyto(labels, np.uint8(channel), where=scores > best)
    np.maximum(best, scores, out=best)
