"""The solids an abdomen is built of: each tells, for points in mm, how far outside (positive) or inside they are.

The distances are exact enough near the surface (where a shape is drawn, and rims of some millimetres around it)
and only monotone far away. Points are three float32 arrays x, y, z of one shape; so is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from LiverMRISegLib.volume import Vector

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
Box = tuple[np.ndarray, np.ndarray]

# Beyond this distance (mm) from a piece of a tube its own distance is not needed; `_FAR` stands for it.
_REACH = 12.0
_FAR = np.float32(1000.0)


class Shape(Protocol):
    """A solid with a box around it."""

    @property
    def box(self) -> Box:
        """Lower and upper corner (mm) of a box that holds the solid."""
        ...

    def distance(self, points: Points) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with `radii` along its own axes, turned by `turns` (degrees about x, then y, then z)."""

    centre: Vector
    radii: Vector
    turns: Vector = (0.0, 0.0, 0.0)

    @cached_property
    def _rotation(self) -> np.ndarray:
        rotation = np.eye(3)
        for axis, degrees in enumerate(self.turns):
            cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            i, j = [(1, 2), (2, 0), (0, 1)][axis]
            step = np.eye(3)
            step[i, i], step[i, j], step[j, i], step[j, j] = cosine, -sine, sine, cosine
            rotation = step @ rotation
        return rotation.astype(np.float32)

    @property
    def box(self) -> Box:
        """The tight box of the turned ellipsoid."""
        half = np.sqrt((self._rotation**2) @ np.square(self.radii))
        return np.array(self.centre) - half, np.array(self.centre) + half

    def distance(self, points: Points) -> np.ndarray:
        """First-order distance: exact at the surface."""
        local = [p - np.float32(c) for p, c in zip(points, self.centre, strict=True)]
        inner = np.zeros_like(local[0])
        outer = np.zeros_like(local[0])
        for axis, radius in enumerate(self.radii):
            column = self._rotation[:, axis]
            along = (local[0] * column[0] + local[1] * column[1] + local[2] * column[2]) / np.float32(radius)
            inner += along**2
            outer += (along / np.float32(radius)) ** 2
        norm = np.sqrt(inner)
        return norm * (norm - 1) / np.maximum(np.sqrt(outer), np.float32(1e-6))


@dataclass(frozen=True)
class Tube:
    """A tube through `path` (points in mm) whose radius goes linearly from one of `radii` to the next."""

    path: tuple[Vector, ...]
    radii: tuple[float, ...]

    @property
    def box(self) -> Box:
        """The box of the spheres at the path's points."""
        path, radii = np.array(self.path), np.array(self.radii)[:, None]
        return (path - radii).min(axis=0), (path + radii).max(axis=0)

    def distance(self, points: Points) -> np.ndarray:
        """Distance to the nearest of the cones."""
        result = np.full(points[0].shape, _FAR, np.float32)
        for start, end, first, last in zip(self.path, self.path[1:], self.radii, self.radii[1:], strict=False):
            near = _near(points, Tube((start, end), (first, last)).box)
            if near is not None:
                part = (points[0][near], points[1][near], points[2][near])
                result[near] = np.minimum(result[near], _cone(part, np.array(start), np.array(end), first, last))
        return result


def _near(points: Points, box: Box) -> tuple[slice, ...] | None:
    """Index box of the points within reach of `box`, found on every fourth of them."""
    sparse = (points[0][::4, ::4, ::4], points[1][::4, ::4, ::4], points[2][::4, ::4, ::4])
    found = bounding_indices(sparse, box, _REACH)
    return None if found is None else tuple(slice(max(0, 4 * s.start - 4), 4 * s.stop) for s in found)


def _cone(points: Points, start: np.ndarray, end: np.ndarray, first: float, last: float) -> np.ndarray:
    axis = end - start
    local = [p - np.float32(s) for p, s in zip(points, start, strict=True)]
    along = sum(c * np.float32(a) for c, a in zip(local, axis, strict=True)) / np.float32(axis @ axis)
    along = np.clip(along, 0, 1)
    squares = sum((c - along * np.float32(a)) ** 2 for c, a in zip(local, axis, strict=True))
    return np.sqrt(squares) - (np.float32(first) + along * np.float32(last - first))


@dataclass(frozen=True)
class Blend:
    """The union of shapes, smoothed over about `width` mm where they meet."""

    shapes: tuple[Shape, ...]
    width: float = 8.0

    @property
    def box(self) -> Box:
        """The box of all, with room for what the smoothing adds."""
        boxes = [shape.box for shape in self.shapes]
        lower, upper = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
        return lower - self.width / 4, upper + self.width / 4

    def distance(self, points: Points) -> np.ndarray:
        """Polynomial smooth minimum."""
        result = self.shapes[0].distance(points)
        for shape in self.shapes[1:]:
            other = shape.distance(points)
            near = np.maximum(np.float32(self.width) - np.abs(result - other), 0) / np.float32(self.width)
            result = np.minimum(result, other) - near**2 * np.float32(self.width / 4)
        return result


@dataclass(frozen=True)
class Cut:
    """What of `shape` lies outside `removed` and below every plane of `planes`.

    A plane is (normal, offset): points with normal . p > offset are cut away.
    """

    shape: Shape
    removed: tuple[Shape, ...] = ()
    planes: tuple[tuple[Vector, float], ...] = ()

    @property
    def box(self) -> Box:
        """The uncut shape's box."""
        return self.shape.box

    def distance(self, points: Points) -> np.ndarray:
        """The largest of the distances."""
        result = self.shape.distance(points)
        for shape in self.removed:
            result = np.maximum(result, -shape.distance(points))
        for normal, offset in self.planes:
            unit = np.array(normal) / np.linalg.norm(normal)
            height = sum(p * np.float32(u) for p, u in zip(points, unit, strict=True))
            result = np.maximum(result, height - np.float32(offset / np.linalg.norm(normal)))
        return result


def bounding_indices(points: Points, box: Box, margin: float) -> tuple[slice, ...] | None:
    """The index box of those `points` in `box` grown by `margin`; None if there are none."""
    inside = np.ones(points[0].shape, bool)
    for values, lower, upper in zip(points, *box, strict=True):
        inside &= (values > lower - margin) & (values < upper + margin)
    found = []
    for axis in range(3):
        used = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(used):
            return None
        found.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(found)


def jittered(path: Sequence[Vector], random: np.random.Generator, spread: float) -> tuple[Vector, ...]:
    """The points of a path, each moved at random by about `spread` mm."""
    moved = np.array(path) + random.normal(0, spread, (len(path), 3))
    return tuple((float(p[0]), float(p[1]), float(p[2])) for p in moved)
