"""What a volume file says of itself, in the same words for every format; and strict numbers out of headers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.stored import Stored, shortened
from LiverMRISegLib.volume import Geometry, Matrix

_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)
_SMALLEST_SPACING = 1e-9
_WHOLE = re.compile(r"[-+]?\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class VolumeHeader:
    """The header of a file with a volume, or with several frames of one.

    `kind` is the type of a stored voxel, with its byte order. `frames` volumes of the grid of `geometry` are one after
    the other, or, with `frames_first`, all values of a voxel. `values`: how many a voxel has where they are not frames
    but colours or vectors. Stored values become intensities by `scale` (slope, intercept). `metadata` becomes that of
    the volume; its "notes" are what a person should know of the input, in words. `fields`: what a header of words says
    beside all that; `comment`: what the file says of itself (`made_by`).
    """

    kind: np.dtype
    geometry: Geometry
    stored: Stored
    frames: int = 1
    frames_first: bool = False
    values: int = 1
    scale: tuple[float, float] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""

    @property
    def path(self) -> Path:
        """The file that was named."""
        return self.stored.header

    @property
    def voxels(self) -> int:
        """Stored numbers, of all frames."""
        return math.prod(self.geometry.size) * self.frames * self.values

    @property
    def bytes(self) -> int:
        """What they take."""
        return self.voxels * self.kind.itemsize


ORIENTATION_UNKNOWN: dict[str, Any] = {"orientation_unknown": True}
NO_ORIGIN: dict[str, Any] = {"notes": ["the file gives no origin: the place of its first voxel was taken as 0, 0, 0"]}


def grid(
    path: Path, size: Sequence[int], spacing: Sequence[float], origin: Sequence[float], direction: np.ndarray | Matrix
) -> Geometry:
    """The grid of a volume; `direction`'s columns are the directions of its axes.

    Raises:
        InputError: it is not one: sizes or spacings that are not positive, numbers that are not finite, sheared axes.
    """
    if min(size) < 1:
        raise InputError(f"{path}: its header gives no size; export it again")
    # A spacing of 1e-320 is not 0, but what is computed with it is.
    if not np.all(np.isfinite(spacing)) or min(spacing) < _SMALLEST_SPACING:
        raise InputError(f"{path}: a voxel spacing is zero or negative, or not a number; correct the header")
    matrix = np.array(direction, np.float64)
    if not np.all(np.isfinite(origin)) or not np.all(np.isfinite(matrix)):
        raise no_place(path)
    if not is_perpendicular(matrix):
        raise InputError(f"{path}: its axes are not perpendicular (sheared); resample it to a regular grid first")
    rows: Matrix = tuple(tuple(float(v) for v in row) for row in matrix)  # type: ignore[assignment]
    x, y, z = (int(n) for n in size)
    a, b, c = (float(s) for s in spacing)
    return Geometry((x, y, z), (a, b, c), tuple(float(v) for v in origin), rows)  # type: ignore[arg-type]


def no_place(path: Path) -> InputError:
    """The error for positions and directions that are not finite."""
    return InputError(f"{path}: its header gives no place in space (NaN); correct the header or export it again")


def is_perpendicular(axes: np.ndarray) -> bool:
    """Whether the columns are of length 1 and perpendicular, but for what rounding and other tools leave behind."""
    return bool(np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=1e-3))


def whole_numbers(path: Path, key: str, text: str) -> list[int]:
    """The whole numbers of a header's line; InputError for anything else. Python's `int` takes more than formats do."""
    words = text.split()
    if not words or not all(_WHOLE.fullmatch(word) for word in words):
        raise InputError(f"{path}: its header says '{key}: {shortened(text)}', where whole numbers belong; correct it")
    return [int(word) for word in words]


def floats(path: Path, key: str, text: str) -> list[float]:
    """The numbers of a header's line, NaN and infinity too; InputError for anything else."""
    words = text.split()
    if not words or not all(_FLOAT.fullmatch(word) for word in words):
        raise InputError(f"{path}: its header says '{key}: {shortened(text)}', where numbers belong; correct it")
    return [float(word) for word in words]
