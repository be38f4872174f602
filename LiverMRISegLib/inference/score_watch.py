"""What the scores of a network say beyond the labels, taken up while they stream by.

Of every voxel only the two likeliest classes and their probabilities stay, and of every tile its own labels at every
second voxel: a few bytes a voxel, and no further pass of the network. Of a very large image every second (third, ...)
voxel stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.volume import Box

# Voxels of an image that are kept at most; about 0.25 m cubed at 1.6 mm.
_MOST_VOXELS = 4_000_000
# A voxel where every organ is behind the background by more than this (a share of 0.25 %) is background.
_BEHIND = 6.0
_STEP_OF_TILES = 2


class ScoreWatch:
    """Watches `predict_slabs`; a further prediction replaces the one before.

    On the grid of every `step`th voxel of the image: `best` and `second` uint8 [Z, Y, X] are the likeliest classes,
    `best_share` and `second_share` float16 their probabilities; `totals` [C] is the sum of each class's probability.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.begin((1, 1, 1), (slice(0, 1),) * 3)

    def begin(self, shape: Sequence[int], inner: Box) -> None:
        """A prediction begins: of an image of `shape`, which is the box `inner` of what the tiles are boxes of."""
        self.step = 1
        while np.prod([-(-n // self.step) for n in shape]) > _MOST_VOXELS:
            self.step += 1
        size = tuple(-(-n // self.step) for n in shape)
        self.best, self.second = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        self.best_share, self.second_share = np.ones(size, np.float16), np.zeros(size, np.float16)
        self.totals = np.zeros(self.classes)
        self._shape, self._inner, self._next = shape, inner, 0
        self._votes: list[tuple[Box, np.ndarray, np.ndarray]] = []

    def slab(self, logits: np.ndarray) -> None:
        """The next planes of the image's logits [C, planes, Y, X]."""
        first, self._next = self._next, self._next + logits.shape[1]
        start = -first % self.step
        if start >= logits.shape[1]:
            return
        kept = logits[:, start :: self.step, :: self.step, :: self.step]
        near = kept[1:].max(axis=0) > kept[0] - _BEHIND
        shares = _softmax(kept[:, near])
        place = (slice((first + start) // self.step, (first + start) // self.step + kept.shape[1]),)
        self.totals += shares.sum(axis=1, dtype=np.float64)
        for classes, size in ((self.best, self.best_share), (self.second, self.second_share)):
            likeliest = shares.argmax(axis=0)
            classes[place][near] = likeliest
            size[place][near] = np.take_along_axis(shares, likeliest[None], 0)[0]
            np.put_along_axis(shares, likeliest[None], -1.0, 0)

    def tile(self, box: Box, logits: np.ndarray, weight: np.ndarray) -> None:
        """One tile's logits [C, ...] at `box` of the padded image, and how much each of its voxels counts."""
        step = _STEP_OF_TILES * self.step
        parts, places = [], []
        for part, inner, size in zip(box, self._inner, self._shape, strict=True):
            start = part.start - inner.start
            begin = max(0, -(-max(start, 0) // step) * step - start)
            stop = min(part.stop - part.start, size - start)
            parts.append(slice(begin, stop, step))
            places.append(slice((start + begin) // self.step, -(-(start + stop) // self.step), _STEP_OF_TILES))
        z, y, x = parts
        self._votes.append(((places[0], places[1], places[2]), logits[:, z, y, x].argmax(axis=0), weight[z, y, x]))

    def agreement(self, labels: np.ndarray) -> np.ndarray:
        """The Dice [C] of the tiles' own labels with `labels` (on the watch's grid), over all tiles; 1 for no voxel.

        Where tiles overlap, these are several looks at one place.
        """
        both, each = np.zeros(self.classes), np.zeros(self.classes)
        for place, own, weight in self._votes:
            final = labels[place]
            both += np.bincount(own[own == final], weight[own == final], self.classes)
            each += np.bincount(own.ravel(), weight.ravel(), self.classes)
            each += np.bincount(final.ravel(), weight.ravel(), self.classes)[: self.classes]
        return np.where(each > 0, 2 * both / np.maximum(each, 1e-9), 1.0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised: np.ndarray = np.exp(logits - logits.max(axis=0))
    raised /= raised.sum(axis=0)
    return raised
