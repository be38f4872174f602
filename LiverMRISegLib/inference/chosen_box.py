"""A box that a user chose: organs are segmented inside it alone. It may be turned in any way against the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.volume import Geometry, Matrix, Vector

# The network sees this much around the box, so that an outline at a face of it is drawn with both sides in sight.
CONTEXT_MM = 24.0
# An organ is said to be cut if more than this share of what was found of it is outside.
_NOTABLE_SHARE = 0.02


@dataclass(frozen=True)
class ChosenBox:
    """The points `center + a * half_edges[0] + b * half_edges[1] + c * half_edges[2]`, each factor from -1 to 1.

    All in mm of the LPS world; the half edges need not be perpendicular.
    """

    center: Vector
    half_edges: Matrix

    def __post_init__(self) -> None:
        """UsageError for a box without volume."""
        if not np.isfinite(self.center).all() or not abs(np.linalg.det(np.array(self.half_edges))) > 0:
            raise UsageError("the box to segment in has no volume; give it a size in all three directions")

    def mask(self, geometry: Geometry) -> np.ndarray:
        """Which voxels of a grid have their centre in the box; bool [Z, Y, X]."""
        to_world = np.eye(4)
        to_world[:3, :3] = np.array(geometry.direction) * np.array(geometry.spacing)
        to_world[:3, 3] = geometry.origin
        return self.mask_on(to_world, geometry.size)

    def mask_on(self, to_world: np.ndarray, size: tuple[int, int, int], first: Sequence[int] = (0, 0, 0)) -> np.ndarray:
        """Which voxels of any linear grid have their centre in the box; bool [Z, Y, X].

        Args:
            to_world: 4 x 4, from an index (x, y, z) to LPS.
            size: voxels in x, y and z.
            first: index of the first voxel.
        """
        to_box = np.linalg.inv(np.array(self.half_edges).T)
        steps = to_box @ to_world[:3, :3]
        begin = to_box @ (to_world[:3] @ np.array([*first, 1.0]) - np.array(self.center))
        inside = np.ones(size[::-1], bool)
        for start, (x, y, z) in zip(begin, steps, strict=True):
            nx, ny, nz = (np.arange(n) for n in size)
            place = start + (z * nz)[:, None, None] + (y * ny)[:, None] + x * nx
            inside &= np.abs(place) <= 1
        return inside

    def mask_of(self, geometry: Geometry, name: str) -> np.ndarray:
        """`mask`; InputError if it is empty."""
        inside = self.mask(geometry)
        if not inside.any():
            raise InputError(f"{name}: the box to segment in is outside the volume; move it onto the volume")
        return inside


def cut_to(labelmap: np.ndarray, inside: np.ndarray) -> dict[int, float]:
    """Make background of what is outside, in place; the values of which a notable share was, and that share."""
    before = np.bincount(labelmap.ravel(), minlength=256)
    labelmap[~inside] = 0
    after = np.bincount(labelmap.ravel(), minlength=256)
    lost = {int(value): 1 - after[value] / before[value] for value in np.flatnonzero(before) if value}
    return {value: float(share) for value, share in lost.items() if share > _NOTABLE_SHARE and after[value]}
