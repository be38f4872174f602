"""nnU-Net's tiles: evenly spaced, overlapping, weighted by a Gaussian (methods.md 10.3)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.volume import Box


def tile_starts(size: int, patch: int, overlap: float) -> list[int]:
    """First voxels of the tiles along one axis: 110 voxels in patches of 64 with overlap 0.5 give 0, 23, 46."""
    if size <= patch:
        return [0]
    count = math.ceil((size - patch) / (patch * (1 - overlap))) + 1
    step = (size - patch) / (count - 1)
    return [round(step * i) for i in range(count)]


def tiles(shape: Sequence[int], patch: Sequence[int], overlap: float, within: Box | None = None) -> list[Box]:
    """The boxes [Z, Y, X] that cover an image at least as large as `patch`, or a part `within` it that is so too."""
    parts = within or [slice(0, n) for n in shape]
    axes = [
        [slice(part.start + s, part.start + s + p) for s in tile_starts(part.stop - part.start, p, overlap)]
        for part, p in zip(parts, patch, strict=True)
    ]
    return [(z, y, x) for z, y, x in itertools.product(*axes)]


def importance(patch: Sequence[int], least: float = 1e-4) -> np.ndarray:
    """Weight of every voxel of a tile: a Gaussian of sigma = patch / 8 around voxel patch // 2, from `least` to 1."""
    weights = np.ones((1, 1, 1), np.float32)
    for axis, size in enumerate(patch):
        profile = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 8)) ** 2).astype(np.float32)
        weights = weights * profile.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.maximum(weights, weights.max() * least)


def pad_to(image: np.ndarray, patch: Sequence[int], value: float | None = None) -> tuple[np.ndarray, Box]:
    """The image with `value` around it so that no axis is shorter than the patch, and the box of the image in it.

    By default the value is the image's minimum: air after any normalisation, as in training. Axes before
    [Z, Y, X] stay as they are.
    """
    shape = image.shape[-3:]
    missing = [max(0, p - n) for p, n in zip(patch, shape, strict=True)]
    before = [m // 2 for m in missing]
    box = tuple(slice(b, b + n) for b, n in zip(before, shape, strict=True))
    if any(missing):
        around = [(0, 0)] * (image.ndim - 3) + [(b, m - b) for b, m in zip(before, missing, strict=True)]
        image = np.pad(image, around, constant_values=image.min() if value is None else value)
    return image, (box[0], box[1], box[2])
