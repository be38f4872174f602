"""Where in an image the organs can be, so that only tiles there are computed: the body, or what another model finds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.preparation.normalisation import brighter_than_air
from LiverMRISegLib.volume import Box

# Planes across the image that contain less of the body are its skin, or noise.
_LEAST_BODY_SHARE = 0.01


def body_of(image: np.ndarray) -> np.ndarray:
    """`brighter_than_air`, except in planes (along any axis) of which it is less than a hundredth; bool [Z, Y, X]."""
    bright = brighter_than_air(image)
    body = bright.copy()
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        body &= bright.mean(axis=others, keepdims=True) > _LEAST_BODY_SHARE
    return body


def region_of(
    labels: np.ndarray, shape: Sequence[int], spacing: Sequence[float], margin_mm: float, least: Sequence[int]
) -> Box | None:
    """The box around all labels on another grid over the same extent, with a margin; None if there are no labels.

    Args:
        labels: [Z, Y, X], what the coarse look found, or the body.
        shape: of the other grid.
        spacing: of the other grid [Z, Y, X] in mm.
        margin_mm: added on all sides, as far as the grid goes.
        least: voxels per axis that the box is grown to, as far as the grid goes: the network's patch.
    """
    parts = []
    for axis, (size, step, smallest) in enumerate(zip(shape, spacing, least, strict=True)):
        found = np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis)))
        if found.size == 0:
            return None
        scale, margin = size / labels.shape[axis], margin_mm / step
        start = max(0, math.floor(found[0] * scale - margin))
        stop = min(size, math.ceil((found[-1] + 1) * scale + margin))
        missing = max(0, min(smallest, size) - (stop - start))
        start = max(0, min(start - missing // 2, size - (stop - start) - missing))
        parts.append(slice(start, max(stop, start + min(smallest, size))))
    return (parts[0], parts[1], parts[2])


def is_cut(labels: np.ndarray, shape: Sequence[int], region: Box) -> bool:
    """Whether labels reach a face of the region that is inside the image: then it was too small.

    Args:
        labels: [Z, Y, X], on another grid over the same extent.
        shape: of the grid that the region is a box of.
        region: as `region_of` returns it.
    """
    for axis, (part, size) in enumerate(zip(region, shape, strict=True)):
        scale = labels.shape[axis] / size
        planes = np.moveaxis(labels, axis, 0)
        if part.start > 0 and planes[math.floor(part.start * scale) : math.ceil((part.start + 1) * scale)].any():
            return True
        if part.stop < size and planes[math.floor((part.stop - 1) * scale) : math.ceil(part.stop * scale)].any():
            return True
    return False
