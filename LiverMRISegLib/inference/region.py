"""Where in a large image the organs are: a coarse look by another model, so that only tiles there are computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.inference.tiling import Box


def region_of(
    labels: np.ndarray, shape: Sequence[int], spacing: Sequence[float], margin_mm: float, least: Sequence[int]
) -> Box | None:
    """The box around all labels on another grid over the same extent, with a margin; None if there are no labels.

    Args:
        labels: [Z, Y, X], what the coarse look found.
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
