"""From the logits of tiles to labels on a finer grid, slab by slab and one class at a time.

Neither the logits of a whole volume are held at once nor a full-resolution stack of classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from LiverMRISegLib.volume import Box

_PLANES_AT_ONCE = 8
# The background's logit where nothing was computed, the others' is 0: no softmax may doubt it.
_BACKGROUND = 20.0


class Canvas:
    """The weighted mean of overlapping tiles' logits at the network's resolution, in a window of `depth` planes.

    Tiles come in the order of their first planes. What no further tile reaches is taken out, and the window moves on.
    Where no tile was placed (air that was skipped) the mean is background.
    """

    def __init__(self, classes: int, shape: tuple[int, int, int], depth: int, inside: Box) -> None:
        self._sum = np.zeros((classes, depth, *shape[1:]), np.float32)
        self._weight = np.zeros((depth, *shape[1:]), np.float32)
        self._inside = inside
        self._first = 0

    def add(self, box: Box, logits: np.ndarray, weight: np.ndarray) -> None:
        """Place the logits [C, ...] of a tile inside the window, weighted by `weight`."""
        place = (slice(box[0].start - self._first, box[0].stop - self._first), *box[1:])
        for total, one in zip(self._sum, logits, strict=True):
            total[place] += one * weight
        self._weight[place] += weight

    def finished(self, until: int) -> Iterator[np.ndarray]:
        """The mean logits [C, planes, Y, X] `inside`, of all planes before `until` that were not taken out yet."""
        depth = len(self._weight)
        while self._first < until:
            count = min(depth, until - self._first)
            for start in range(0, count, _PLANES_AT_ONCE):
                yield self._mean(start, min(start + _PLANES_AT_ONCE, count))
            for planes in (*self._sum, self._weight):  # one after the other: moving within an array takes a copy
                planes[: depth - count] = planes[count:]
                planes[depth - count :] = 0
            self._first += count

    def _mean(self, start: int, stop: int) -> np.ndarray:
        z, y, x = self._inside
        part = (slice(max(start, z.start - self._first), max(0, min(stop, z.stop - self._first))), y, x)
        weight = self._weight[part]
        empty = weight == 0
        mean: np.ndarray = self._sum[(slice(None), *part)] / np.where(empty, 1, weight)
        mean[0][empty] = _BACKGROUND
        return mean
