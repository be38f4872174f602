"""A volume and its place in the patient: `Geometry` and `Volume`, and the exact ways from one grid to another.

Conventions: arrays are [Z, Y, X] (SimpleITK's order); geometry is in ITK's (x, y, z) order and millimetres,
in the LPS world (x to the patient's left, y to posterior, z to superior). An orientation code such as "LPS"
names, for the x, y and z index axes, the direction in which the index grows.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from LiverMRISegLib.errors import UsageError

if TYPE_CHECKING:
    import SimpleITK as sitk

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_POSITIVE, _NEGATIVE = "LPS", "RAI"
# In voxels: label maps and images that were drawn on one grid may be so far apart. The rounding of formats is far less.
SAME_PLACE = 0.1


@dataclass(frozen=True)
class Geometry:
    """A regular grid in the patient: voxel index i (x, y, z) is at `origin + direction @ (spacing * i)`.

    `direction`'s columns are the world directions of the index axes, as in ITK.
    """

    size: tuple[int, int, int]
    spacing: Vector = (1.0, 1.0, 1.0)
    origin: Vector = (0.0, 0.0, 0.0)
    direction: Matrix = IDENTITY

    @property
    def shape(self) -> tuple[int, int, int]:
        """The array shape [Z, Y, X]."""
        return (self.size[2], self.size[1], self.size[0])

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def orientation(self) -> str:
        """Code of the nearest axis-aligned orientation, e.g. "LPS"; each world axis is named exactly once."""
        letters = [""] * 3
        for index_axis, world_axis in enumerate(_nearest_world_axes(np.array(self.direction))):
            positive = self.direction[world_axis][index_axis] > 0
            letters[index_axis] = (_POSITIVE if positive else _NEGATIVE)[world_axis]
        return "".join(letters)

    def is_close(self, other: Geometry, tolerance: float = 1e-3) -> bool:
        """Whether both grids coincide: same size, and every corner within `tolerance` voxels."""
        return self.size == other.size and bool(
            np.all(np.abs(_corners(self) - _corners(other)) <= tolerance * min(self.spacing))
        )

    def world_of(self, index: Seq[float]) -> Vector:
        """World position (mm, LPS) of a voxel index (x, y, z)."""
        point = np.array(self.origin) + np.array(self.direction) @ (np.array(self.spacing) * np.array(index))
        return (float(point[0]), float(point[1]), float(point[2]))

    def index_of(self, point: Vector) -> Vector:
        """Voxel index (x, y, z), between voxels too, of a world position (mm, LPS); the inverse of `world_of`."""
        steps = np.array(self.direction) * np.array(self.spacing)
        index = np.linalg.solve(steps, np.array(point) - np.array(self.origin))
        return (float(index[0]), float(index[1]), float(index[2]))

    def cropped(self, lower: Seq[int], size: Seq[int]) -> Geometry:
        """The grid of the box that begins at index `lower` (x, y, z) and has `size` voxels."""
        return replace(self, size=(int(size[0]), int(size[1]), int(size[2])), origin=self.world_of(lower))

    def with_spacing(self, spacing: Vector) -> Geometry:
        """A grid over the same extent (edges of the outer voxels) with about the given spacing.

        The number of voxels is rounded and the spacing then fitted, so that both grids share their outer
        edges exactly and going there and back shifts nothing.
        """
        extent = [n * s for n, s in zip(self.size, self.spacing, strict=True)]
        size = [max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True)]
        fitted = [e / n for e, n in zip(extent, size, strict=True)]
        first = [0.5 * f / s - 0.5 for f, s in zip(fitted, self.spacing, strict=True)]
        return replace(
            self,
            size=(size[0], size[1], size[2]),
            spacing=(fitted[0], fitted[1], fitted[2]),
            origin=self.world_of(first),
        )


def _corners(geometry: Geometry) -> np.ndarray:
    ends = [(0, n - 1) for n in geometry.size]
    return np.array([geometry.world_of((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]])


def _nearest_world_axes(direction: np.ndarray) -> list[int]:
    """For each index axis its world axis, each world axis used once, the strongest components first."""
    strength = np.abs(direction).copy()
    world_axes = [0, 0, 0]
    for _ in range(3):
        world_axis, index_axis = np.unravel_index(int(np.argmax(strength)), (3, 3))
        world_axes[int(index_axis)] = int(world_axis)
        strength[world_axis, :] = -1
        strength[:, index_axis] = -1
    return world_axes


@dataclass(frozen=True)
class Volume:
    """A scalar image: `array` [Z, Y, X] on `geometry`. `name` is for messages; `metadata` holds e.g. DICOM facts."""

    array: np.ndarray
    geometry: Geometry
    name: str = "volume"
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise UsageError(
                f"{self.name}: array of shape {self.array.shape} does not fit a grid of shape {self.geometry.shape}"
            )

    @classmethod
    def from_sitk(cls, image: sitk.Image, name: str = "volume", metadata: dict[str, Any] | None = None) -> Volume:
        """Wrap a 3D scalar SimpleITK image (the array is copied)."""
        import SimpleITK as sitk

        d = image.GetDirection()
        direction = ((d[0], d[1], d[2]), (d[3], d[4], d[5]), (d[6], d[7], d[8]))
        geometry = Geometry(tuple(image.GetSize()), tuple(image.GetSpacing()), tuple(image.GetOrigin()), direction)
        return cls(sitk.GetArrayFromImage(image), geometry, name, metadata or {})

    def to_sitk(self) -> sitk.Image:
        """The same volume as a SimpleITK image (the array is copied)."""
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(self.array)
        image.SetSpacing(self.geometry.spacing)
        image.SetOrigin(self.geometry.origin)
        image.SetDirection([float(v) for row in self.geometry.direction for v in row])
        return image


@dataclass(frozen=True)
class AxisChange:
    """Permutation and flips of the index axes that take one orientation to another, without interpolation.

    `source[i]` is the old axis (x, y, z) that becomes new axis i; `flipped[i]` whether it is also reversed.
    """

    source: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def between(cls, source_code: str, target_code: str) -> AxisChange:
        """The change from one orientation code to another; UsageError if a code does not name each world axis once."""
        for code in (source_code, target_code):
            if len(code) != 3 or {_world_axis(letter) for letter in code} != {0, 1, 2}:
                raise UsageError(f"'{code}' is not an orientation; name each of L/R, P/A, S/I once, e.g. LPS")
        old_axes = [_world_axis(letter) for letter in source_code]
        source = [old_axes.index(_world_axis(letter)) for letter in target_code]
        flipped = [source_code[s] != target_code[i] for i, s in enumerate(source)]
        return cls((source[0], source[1], source[2]), (flipped[0], flipped[1], flipped[2]))

    @property
    def inverse(self) -> AxisChange:
        """The change back."""
        back = [self.source.index(axis) for axis in range(3)]
        flips = [self.flipped[b] for b in back]
        return AxisChange((back[0], back[1], back[2]), (flips[0], flips[1], flips[2]))

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Permute and flip the last three axes [..., Z, Y, X] of `array`; a view, not a copy."""
        lead = array.ndim - 3
        order = [lead + 2 - self.source[2 - k] for k in range(3)]
        turned = array.transpose(*range(lead), *order)
        steps = [slice(None, None, -1) if self.flipped[2 - k] else slice(None) for k in range(3)]
        return turned[(..., *steps)]

    def apply_to_geometry(self, geometry: Geometry) -> Geometry:
        """The grid after the change; the voxels stay where they are in the patient."""
        corner = [0.0, 0.0, 0.0]
        columns = []
        for new_axis, old_axis in enumerate(self.source):
            sign = -1.0 if self.flipped[new_axis] else 1.0
            columns.append([sign * geometry.direction[row][old_axis] for row in range(3)])
            corner[old_axis] = geometry.size[old_axis] - 1.0 if self.flipped[new_axis] else 0.0
        size = tuple(geometry.size[s] for s in self.source)
        spacing = tuple(geometry.spacing[s] for s in self.source)
        direction = tuple(tuple(columns[c][row] for c in range(3)) for row in range(3))
        return Geometry(size, spacing, geometry.world_of(corner), direction)  # type: ignore[arg-type]


def _world_axis(letter: str) -> int:
    return _POSITIVE.find(letter) if letter in _POSITIVE else _NEGATIVE.find(letter)


def reorient(volume: Volume, code: str) -> Volume:
    """The volume with its index axes permuted and flipped to orientation `code`, nothing interpolated."""
    change = AxisChange.between(volume.geometry.orientation, code)
    return replace(volume, array=change.apply(volume.array), geometry=change.apply_to_geometry(volume.geometry))


def turned_to(volume: Volume, grid: Geometry, tolerance: float = 1e-3) -> Volume | None:
    """`volume` with its index axes permuted and flipped to `grid`, nothing interpolated; None if its voxels are others.

    `tolerance` as in `Geometry.is_close`. `volume` itself if it is on the grid already.
    """
    if volume.geometry.is_close(grid, tolerance):
        return volume
    turned = reorient(volume, grid.orientation)
    if not turned.geometry.is_close(grid, tolerance):
        return None
    return replace(turned, array=np.ascontiguousarray(turned.array))


def spread_over(labelmap: Volume, grid: Geometry) -> Volume:
    """A label map on the whole `grid`, if its own is a part of that voxel on voxel; else as it is."""
    return resample(labelmap, grid, nearest=True) if covering(grid, labelmap.geometry) == grid else labelmap


def covering(first: Geometry, second: Geometry) -> Geometry | None:
    """The smallest grid that has the voxels of both; None where they are not parts of one grid, voxel on voxel."""
    start = [round(v) for v in first.index_of(second.origin)]
    if not first.cropped(start, second.size).is_close(second, SAME_PLACE):
        return None
    lower = [min(0, at) for at in start]
    upper = [max(n, at + m) for n, at, m in zip(first.size, start, second.size, strict=True)]
    if lower == [0, 0, 0] and tuple(upper) == first.size:
        return first
    return first.cropped(lower, [high - low for low, high in zip(lower, upper, strict=True)])


def resample(volume: Volume, target: Geometry, *, nearest: bool = False, fill: float = 0.0) -> Volume:
    """The volume on another grid (any direction), linear or nearest; outside the source: `fill`. Same dtype."""
    import SimpleITK as sitk

    image = volume.to_sitk()
    direction = [float(v) for row in target.direction for v in row]
    interpolator = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    moved = sitk.Resample(
        image, list(target.size), sitk.Transform(), interpolator, target.origin, target.spacing, direction, fill
    )
    return replace(volume, array=sitk.GetArrayFromImage(moved), geometry=target)


Box = tuple[slice, slice, slice]
