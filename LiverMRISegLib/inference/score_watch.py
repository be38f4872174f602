"""What the scores of a network say beyond the labels, taken up while they stream by.

Of every voxel only the likeliest class and its probability stay: three bytes a voxel, and no further pass of the
network. Of a very large image every second (third, ...) voxel stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Voxels of an image that are kept at most; about 0.25 m cubed at 1.6 mm.
_MOST_VOXELS = 4_000_000
# A voxel where every organ is behind the background by more than this (a share of 0.25 %) is background.
_BEHIND = 6.0


class ScoreWatch:
    """Watches `predict_slabs`; a further prediction replaces the one before.

    On the grid of every `step`th voxel of the image: `best` uint8 [Z, Y, X] is the likeliest class, `best_share`
    float16 its probability; `totals` [C] is the sum of each class's probability.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.begin((1, 1, 1))

    def begin(self, shape: Sequence[int]) -> None:
        """A prediction begins, of an image of `shape`."""
        self.step = 1
        while np.prod([-(-n // self.step) for n in shape]) > _MOST_VOXELS:
            self.step += 1
        size = tuple(-(-n // self.step) for n in shape)
        self.best, self.best_share = np.zeros(size, np.uint8), np.ones(size, np.float16)
        self.totals = np.zeros(self.classes)
        self._next = 0

    def slab(self, logits: np.ndarray) -> None:
        """The next planes of the image's logits [C, planes, Y, X]."""
        first, self._next = self._next, self._next + logits.shape[1]
        start = -first % self.step
        if start >= logits.shape[1]:
            return
        kept = logits[:, start :: self.step, :: self.step, :: self.step]
        flat = kept.reshape(self.classes, -1)
        near = np.flatnonzero(flat[1:].max(axis=0) > flat[0] - _BEHIND)
        shares = _softmax(flat.take(near, axis=1))
        planes = slice((first + start) // self.step, (first + start) // self.step + kept.shape[1])
        self.totals += shares.sum(axis=1, dtype=np.float64)
        self.best[planes].reshape(-1)[near] = shares.argmax(axis=0)
        self.best_share[planes].reshape(-1)[near] = shares.max(axis=0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised: np.ndarray = np.exp(logits - logits.max(axis=0))
    raised /= raised.sum(axis=0)
    return raised
