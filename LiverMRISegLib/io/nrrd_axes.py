"""Which axes of an NRRD file are the patient's, where the grid is, and what the other axes are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.stored import shortened
from LiverMRISegLib.io.volume_header import NO_ORIGIN, ORIENTATION_UNKNOWN, floats, grid, whole_numbers
from LiverMRISegLib.volume import IDENTITY, Geometry

# The spaces of the format: what makes LPS of them, or None where they do not say how the patient lies.
_SPACES: dict[str, tuple[float, float, float] | None] = {
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "scanner-xyz": None, "3d-right-handed": None, "3d-left-handed": None,
}  # fmt: skip
_WITH_TIME = {**{f"{name}-time": name for name in _SPACES}, "rast": "ras", "last": "las", "lpst": "lps"}
_UNKNOWN_KIND = "???"
# Kinds of an axis of the patient, of one of frames, and of one along which a voxel has the parts of its value.
_SPATIAL, _FRAMES = ("domain", "space", _UNKNOWN_KIND, "none"), ("time", "list", "point", "stub", "scalar")
_PARTS = frozenset(
    {
        "complex", "vector", "covariant-vector", "normal", "2-vector", "3-vector", "4-vector", "3-gradient", "3-normal",
        "quaternion", "3-color", "4-color", "rgb-color", "hsv-color", "xyz-color", "rgba-color", "2d-symmetric-matrix",
        "2d-masked-symmetric-matrix", "2d-matrix", "2d-masked-matrix", "3d-symmetric-matrix", "3d-matrix",
        "3d-masked-symmetric-matrix", "3d-masked-matrix",
    }
)  # fmt: skip
_ONE_VECTOR = re.compile(r"none|\([^()]*\)", re.IGNORECASE)
_MILLIMETRE = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "???", "")


@dataclass(frozen=True)
class Layout:
    """What the axes mean, in the words of `VolumeHeader`."""

    geometry: Geometry
    frames: int
    frames_first: bool
    values: int
    metadata: dict[str, Any]


def layout_of(path: Path, fields: Mapping[str, str], sizes: Sequence[int]) -> Layout:
    """The layout of a file of these fields and axis lengths.

    Raises:
        InputError: not three axes in space (and at most one other of more than one element, the first or the last),
            no spacing, or lengths in another unit than mm.
    """
    if min(sizes) < 1:
        raise InputError(f"{path}: its header gives no size; export it again")
    kinds = _kinds(path, fields, len(sizes))
    _check_units(path, fields)
    vectors, to_lps = _directions(path, fields, sizes)
    if vectors is None:
        steps = _spacings(path, fields, len(sizes))
        spatial = [a for a, step in enumerate(steps) if not math.isnan(step) and kinds[a] in _SPATIAL][:3]
        geometry_of = {axis: steps[axis] for axis in spatial}
    else:
        spatial = [axis for axis, vector in enumerate(vectors) if vector is not None]
        if any(kinds[axis] not in _SPATIAL for axis in spatial):
            raise InputError(f"{path}: its header contradicts itself (kinds and space directions); export it again")
    if len(spatial) != 3:
        raise InputError(f"{path}: is a {len(spatial)}D image, a 3D volume is needed")
    size = [sizes[axis] for axis in spatial]
    if vectors is None:
        origin = _mins(path, fields, spatial, list(geometry_of.values()))
        geometry = grid(path, size, list(geometry_of.values()), origin, IDENTITY)
    else:
        geometry = _oblique(path, fields, size, np.array([vectors[axis] for axis in spatial]).T, to_lps)
    metadata = dict(ORIENTATION_UNKNOWN) if to_lps is None else {}
    metadata |= NO_ORIGIN if vectors is not None and "spaceorigin" not in fields else {}
    return _with_others(path, sizes, kinds, spatial, geometry, metadata)


def _with_others(
    path: Path, sizes: Sequence[int], kinds: Sequence[str], spatial: list[int], geometry: Geometry, meta: dict[str, Any]
) -> Layout:
    others = [axis for axis in range(len(sizes)) if axis not in spatial and sizes[axis] > 1]
    if len(others) > 1:
        raise InputError(f"{path}: is a {3 + len(others)}D image, a 3D volume is needed")
    if not others:
        return Layout(geometry, 1, False, 1, meta)
    other = others[0]
    if spatial[0] < other < spatial[2]:
        raise InputError(f"{path}: its frames are between the axes of space; save them as 3D volumes")
    if kinds[other] == "complex":
        raise InputError(f"{path}: contains complex numbers; save the magnitude")
    if kinds[other] in _PARTS:
        return Layout(geometry, 1, other < spatial[0], sizes[other], meta)
    return Layout(geometry, sizes[other], other < spatial[0], 1, meta)


def _kinds(path: Path, fields: Mapping[str, str], count: int) -> list[str]:
    kinds = [kind.lower() for kind in fields.get("kinds", "").split()] or [_UNKNOWN_KIND] * count
    if len(kinds) != count or any(kind not in (*_SPATIAL, *_FRAMES, *_PARTS) for kind in kinds):
        raise InputError(
            f"{path}: its header says 'kinds: {shortened(fields.get('kinds', ''))}', which are not those of its axes; "
            "export it again"
        )
    return kinds


def _directions(
    path: Path, fields: Mapping[str, str], sizes: Sequence[int]
) -> tuple[list[list[float] | None] | None, tuple[float, float, float] | None]:
    """The vector of every axis (None: not in space), or None where the file has spacings only; and the way to LPS."""
    space = fields.get("space", "").lower()
    space = _WITH_TIME.get(space, space)
    if space and space not in _SPACES:
        raise InputError(f"{path}: its header says 'space: {shortened(space)}', which is not known; export it again")
    to_lps = _SPACES.get(space)
    if "spacedirections" not in fields:
        return None, None
    if not space and "spacedimension" not in fields:
        raise InputError(f"{path}: its header has space directions, but no space; export it again")
    if "spacings" in fields and any(not math.isnan(s) for s in floats(path, "spacings", fields["spacings"])):
        raise InputError(f"{path}: its header has both spacings and space directions; export it again")
    text = fields["spacedirections"]
    words = _ONE_VECTOR.findall(text)
    if _ONE_VECTOR.sub("", text).strip() or len(words) != len(sizes):
        raise InputError(f"{path}: its header says 'space directions: {shortened(text)}'; export it again")
    vectors = [None if word.lower() == "none" else _vector(path, word) for word in words]
    return _without_time(path, vectors, _dimension(path, fields)), to_lps


def _dimension(path: Path, fields: Mapping[str, str]) -> int:
    """Of the space: 3, or 4 with time."""
    if fields.get("space"):
        return 4 if fields["space"].lower() in _WITH_TIME else 3
    return whole_numbers(path, "space dimension", fields["spacedimension"])[0]


def _without_time(path: Path, vectors: list[list[float] | None], dimension: int) -> list[list[float] | None]:
    """In a space of four dimensions the last axis is time, if it is along the fourth and no other is."""
    found = [vector for vector in vectors if vector is not None]
    if dimension not in (3, 4) or any(len(vector) != dimension for vector in found):
        raise InputError(f"{path}: its space directions are not those of a 3D volume; export it again")
    if dimension == 3:
        return vectors
    *space, time = found
    if len(space) != 3 or vectors[-1] is None or any(v[3] != 0 for v in space) or any(v != 0 for v in time[:3]):
        raise InputError(f"{path}: is a 4D image whose last axis is not time; save its frames as 3D volumes")
    return [*[None if vector is None else vector[:3] for vector in vectors[:-1]], None]


def _oblique(
    path: Path, fields: Mapping[str, str], size: list[int], axes: np.ndarray, to_lps: tuple[float, float, float] | None
) -> Geometry:
    origin = [0.0, 0.0, 0.0]
    if "spaceorigin" in fields:
        origin = _vector(path, fields["spaceorigin"])
        if len(origin) != _dimension(path, fields):
            raise InputError(f"{path}: its space origin is not a point in its space; export it again")
    turn = np.array(to_lps or (1.0, 1.0, 1.0))
    lengths = np.linalg.norm(axes, axis=0)
    # A length that is none makes a spacing that is refused.
    spacing = np.where((lengths > 0) & np.isfinite(lengths), lengths, math.nan)
    return grid(path, size, list(spacing), list(turn * origin[:3]), turn[:, None] * axes / spacing)


def _spacings(path: Path, fields: Mapping[str, str], count: int) -> list[float]:
    """The spacing of each axis; NaN where it has none."""
    if "spacings" not in fields:
        raise InputError(f"{path}: its header gives no voxel spacing; add it, or export it again")
    steps = floats(path, "spacings", fields["spacings"])
    if len(steps) != count:
        raise InputError(f"{path}: its header contradicts itself (spacings and sizes); export it again")
    return steps


def _mins(path: Path, fields: Mapping[str, str], spatial: list[int], steps: list[float]) -> list[float]:
    """Where the first voxel is: "axis mins" are the edges of voxels, or, with centers of nodes, their centres."""
    if "axismins" not in fields:
        return [0.0, 0.0, 0.0]
    mins = floats(path, "axis mins", fields["axismins"])
    centers = fields.get("centers", "").lower().split()
    if len(mins) <= max(spatial) or any(math.isnan(mins[axis]) for axis in spatial):
        return [0.0, 0.0, 0.0]
    nodes = [len(centers) > axis and centers[axis] == "node" for axis in spatial]
    return [mins[a] + (0.0 if node else 0.5 * s) for a, node, s in zip(spatial, nodes, steps, strict=True)]


def _vector(path: Path, text: str) -> list[float]:
    if not _ONE_VECTOR.fullmatch(text.strip()):
        raise InputError(f"{path}: its header says '{shortened(text)}', where a vector belongs; export it again")
    return floats(path, "vector", text.strip()[1:-1].replace(",", " "))


def _check_units(path: Path, fields: Mapping[str, str]) -> None:
    for name in ("spaceunits", "units"):
        for unit in re.findall(r'"([^"]*)"', fields.get(name, "")):
            if unit.strip().lower() not in _MILLIMETRE and unit.strip().lower() in (
                "m", "meter", "meters", "cm", "centimeter", "centimeters", "um", "µm", "micron", "microns",
            ):  # fmt: skip
                raise InputError(f"{path}: gives its lengths in {unit.strip()}; save it in mm")
