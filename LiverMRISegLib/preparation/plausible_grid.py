"""Whether a grid can be that of a patient and fits a computer, asked before anything is resampled."""

from __future__ import annotations

import math
from collections.abc import Sequence

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import Geometry

# Whole bodies are two metres; a spacing in the wrong unit is a factor of ten away or more.
_LARGEST_MM, _SMALLEST_MM = 3000.0, 2.0
# Of the resampled image: 4 GB as float32.
_MOST_VOXELS, _LONGEST_AXIS = 10**9, 10_000


def check_plausible_grid(name: str, geometry: Geometry, shape: Sequence[int]) -> None:
    """InputError unless a volume on `geometry` can be resampled to `shape` voxels.

    Args:
        name: of the volume, for the message.
        geometry: the volume's own grid, in mm.
        shape: of the grid that the model works on, over the same extent or a part of it.
    """
    extent = max(n * s for n, s in zip(geometry.size, geometry.spacing, strict=True))
    if not _SMALLEST_MM <= extent <= _LARGEST_MM:
        raise InputError(f"{name}: has a field of view of {_length(extent)}: check the spacing in its header")
    if math.prod(int(n) for n in shape) > _MOST_VOXELS or max(shape) > _LONGEST_AXIS:
        size = " x ".join(str(int(n)) for n in shape)
        raise InputError(
            f"{name}: would have {size} voxels at the model's spacing: check the spacing in its header, "
            "and that of the model"
        )


def _length(millimetres: float) -> str:
    return f"{millimetres / 1000:.3g} m" if millimetres >= 1000 else f"{millimetres:.2g} mm"
