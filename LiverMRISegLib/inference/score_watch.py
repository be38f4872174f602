"""What the scores of a network say beyond the labels, taken up while they stream by.

Of every voxel only the two likeliest classes and their probabilities stay: six bytes a voxel, and no further pass of
the network. Of a very large image every second (third, ...) voxel stays.
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

    On the grid of every `step`th voxel of the image: `best` and `second` uint8 [Z, Y, X] are the likeliest classes,
    `best_share` and `second_share` float16 their probabilities; `totals` [C] is the sum of each class's probability.
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
        self.best, self.second = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        self.best_share, self.second_share = np.ones(size, np.float16), np.zeros(size, np.float16)
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
        for classes, size in ((self.best, self.best_share), (self.second, self.second_share)):
            likeliest = shares.argmax(axis=0)
            classes[planes].reshape(-1)[near] = likeliest
            size[planes].reshape(-1)[near] = shares.max(axis=0)
            np.put_along_axis(shares, likeliest[None], -1.0, 0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised: np.ndarray = np.exp(logits - logits.max(axis=0))
    raised /= raised.sum(axis=0)
    return raised
