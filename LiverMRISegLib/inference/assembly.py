"""From the logits of tiles to labels on a finer grid, one class at a time: never a full-resolution stack of classes."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.inference.interpolation import linear_weights, nearest_weights
from LiverMRISegLib.inference.tiling import Box

_SLAB_VOXELS = 8_000_000


class Canvas:
    """The weighted mean of overlapping tiles' logits [C, Z, Y, X] at the network's resolution.

    Where no tile was placed (air that was skipped) the mean is background.
    """

    def __init__(self, classes: int, shape: tuple[int, int, int]) -> None:
        self._sum = np.zeros((classes, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)

    def add(self, box: Box, logits: np.ndarray, weight: np.ndarray) -> None:
        """Place the logits [C, ...] of a tile, weighted by `weight`."""
        self._sum[(slice(None), *box)] += logits * weight
        self._weight[box] += weight

    def mean(self, box: Box) -> np.ndarray:
        """The mean logits inside `box`; a view into the canvas, which is spent by this."""
        empty = self._weight == 0
        self._weight[empty] = 1
        self._sum[0][empty] = 1
        self._sum /= self._weight
        return self._sum[(slice(None), *box)]


def nearest_labels_on_grid(logits: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """As `labels_on_grid`, but the class is chosen at the network's resolution and then repeated: faster, coarser."""
    labels = logits.argmax(axis=0).astype(np.uint8)
    z, y, x = ((np.arange(t) * 2 + 1) * s // (2 * t) for s, t in zip(labels.shape, shape, strict=True))
    return labels[np.ix_(z, y, x)]


def labels_on_grid(logits: np.ndarray, shape: tuple[int, int, int], nearest_axis: int | None = None) -> np.ndarray:
    """The class of the highest linearly interpolated logit at every voxel of a grid over the same extent.

    The same labels as interpolating all classes and taking the argmax (the first class wins a tie), with memory
    for a few slices of one class beside the result. A class is only interpolated in the box outside which the
    background is higher at every voxel of the coarse grid, for there it cannot win.

    Args:
        logits: float32 [C, Z, Y, X] at the network's resolution.
        shape: of the result.
        nearest_axis: 0, 1 or 2 for an axis along which nothing is interpolated, the nearest voxel is taken.

    Returns:
        uint8 [Z, Y, X].
    """
    sizes = zip(logits.shape[1:], shape, strict=True)
    weights = [(nearest_weights if a == nearest_axis else linear_weights)(s, t) for a, (s, t) in enumerate(sizes)]
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
