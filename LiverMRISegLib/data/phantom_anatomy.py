"""The phantom's body: organs and tissues as simple smooth shapes in the patient's own millimetres.

World coordinates are LPS (x to the patient's left, y to posterior, z to superior) with the origin in the middle of
the abdomen, in front of the spine at the level of the pancreas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.anatomy import (
    AORTA,
    DUODENUM,
    GALLBLADDER,
    INFERIOR_VENA_CAVA,
    LEFT_ADRENAL_GLAND,
    LEFT_KIDNEY,
    LIVER,
    OESOPHAGUS,
    ORGANS,
    PANCREAS,
    PORTAL_AND_SPLENIC_VEIN,
    RIGHT_ADRENAL_GLAND,
    RIGHT_KIDNEY,
    SPLEEN,
    STOMACH,
    LabelSet,
)

LABELS = LabelSet.of("phantom", ORGANS)
# Values of what is no organ of ours; the organs have those of LABELS.
AIR, FAT, MUSCLE, BONE, BOWEL, GAS, LUNG, HEART, FLUID, RENAL_SINUS, HEPATIC_VESSEL = 0, *range(20, 30)
STRUCTURES = 32

Point = tuple[float, float, float]
_MARGIN = 22.0
_BODY = (168.0, 118.0)
_INNER = (138.0, 92.0)
_INNER_CENTRE_Y = -6.0


@dataclass(frozen=True)
class Blob:
    """An ellipsoid of `radii` at `centre`, turned by `angle` degrees in the x-z plane."""

    value: int
    centre: Point
    radii: Point
    angle: float = 0.0

    @property
    def box(self) -> tuple[Point, Point]:
        """A box around it."""
        reach = max(self.radii) if self.angle else None
        low, high = zip(
            *((c - (reach or r), c + (reach or r)) for c, r in zip(self.centre, self.radii, strict=True)), strict=True
        )
        return low, high

    def contains(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Which points lie inside."""
        x, y, z = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        if self.angle:
            cosine, sine = np.cos(np.deg2rad(self.angle)), np.sin(np.deg2rad(self.angle))
            x, z = cosine * x + sine * z, cosine * z - sine * x
        inside: np.ndarray = (x / self.radii[0]) ** 2 + (y / self.radii[1]) ** 2 + (z / self.radii[2]) ** 2 < 1
        return inside


@dataclass(frozen=True)
class Tube:
    """A tube of `radius` along `points`."""

    value: int
    points: tuple[Point, ...]
    radius: float

    @property
    def box(self) -> tuple[Point, Point]:
        """A box around it."""
        array = np.array(self.points)
        return tuple(array.min(0) - self.radius), tuple(array.max(0) + self.radius)

    def contains(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Which points lie inside."""
        inside = np.zeros(x.shape, bool)
        for start, end in zip(self.points[:-1], self.points[1:], strict=True):
            a, along = np.array(start), np.array(end) - np.array(start)
            t = ((x - a[0]) * along[0] + (y - a[1]) * along[1] + (z - a[2]) * along[2]) / float(along @ along)
            t = np.clip(t, 0, 1)
            squared = (x - a[0] - t * along[0]) ** 2 + (y - a[1] - t * along[1]) ** 2 + (z - a[2] - t * along[2]) ** 2
            inside |= squared < self.radius**2
        return inside


def _value(organ: object) -> int:
    return LABELS.value_of(organ)  # type: ignore[arg-type]


_LIVER, _RK, _LK, _SPLEEN = _value(LIVER), _value(RIGHT_KIDNEY), _value(LEFT_KIDNEY), _value(SPLEEN)

# Painted in this order; a later shape covers an earlier one.
SHAPES: tuple[Blob | Tube, ...] = (
    Tube(MUSCLE, ((40, 66, -5), (48, 66, -140)), 20),
    Tube(MUSCLE, ((-40, 66, -5), (-48, 66, -140)), 20),
    Blob(HEART, (32, -42, 128), (62, 48, 36)),
    Blob(_LIVER, (-70, -8, 38), (66, 78, 68)),
    Blob(_LIVER, (-2, -56, 54), (86, 36, 34), -12),
    Blob(_LIVER, (-92, 12, -15), (42, 58, 62)),
    Blob(_SPLEEN, (98, 40, 48), (34, 50, 52), 20),
    Blob(_value(STOMACH), (58, -6, 62), (40, 42, 38)),
    Blob(_value(STOMACH), (52, -42, 22), (30, 30, 46), 15),
    Tube(_value(STOMACH), ((50, -52, -10), (15, -58, -22), (-18, -48, -12)), 17),
    Blob(_RK, (-62, 52, -42), (27, 27, 54), -10),
    Blob(_LK, (64, 52, -30), (27, 27, 55), 10),
    Blob(RENAL_SINUS, (-46, 46, -44), (13, 10, 26), -10),
    Blob(RENAL_SINUS, (48, 46, -32), (13, 10, 26), 10),
    Tube(_value(DUODENUM), ((-20, -40, -14), (-44, -12, -14), (-46, 4, -52), (-18, 12, -72), (22, 10, -62)), 12),
    Tube(_value(PANCREAS), ((-26, -4, -34), (-20, -12, -8), (10, -14, 4), (45, 4, 14), (78, 24, 30)), 12.5),
    Tube(_value(PORTAL_AND_SPLENIC_VEIN), ((-14, 0, -40), (-12, 2, 2), (-34, -4, 26), (-52, -10, 38)), 7),
    Tube(_value(PORTAL_AND_SPLENIC_VEIN), ((-12, 2, 2), (14, 4, 8), (46, 16, 18), (76, 32, 34)), 5),
    Tube(HEPATIC_VESSEL, ((-52, -10, 38), (-84, -6, 50), (-108, -6, 62)), 5),
    Tube(HEPATIC_VESSEL, ((-52, -10, 38), (-20, -42, 54), (18, -54, 58)), 4.5),
    Tube(HEPATIC_VESSEL, ((-24, 34, 84), (-62, 8, 70), (-102, -20, 46)), 5),
    Tube(HEPATIC_VESSEL, ((-24, 34, 84), (-40, -20, 70), (-36, -58, 52)), 4.5),
    Tube(_value(INFERIOR_VENA_CAVA), ((-20, 40, -150), (-22, 38, 0), (-26, 34, 90), (-22, 20, 130)), 12),
    Tube(_value(AORTA), ((6, 40, -150), (8, 42, 0), (14, 46, 150)), 10.5),
    Tube(_value(OESOPHAGUS), ((14, 24, 150), (20, 18, 100), (34, 4, 82)), 9),
    Tube(_value(RIGHT_ADRENAL_GLAND), ((-36, 44, 30), (-40, 48, 16), (-36, 58, 8)), 4.5),
    Tube(_value(LEFT_ADRENAL_GLAND), ((36, 40, 36), (42, 42, 22), (38, 54, 18)), 4.5),
    Blob(_value(GALLBLADDER), (-52, -62, -18), (15, 24, 26), 10),
    Tube(BONE, ((0, 70, -150), (0, 72, 150)), 23),
    Tube(FLUID, ((0, 102, -150), (0, 104, 150)), 8),
)
# What does not reach into another organ's room.
_ONLY_INSIDE = {_LIVER, _SPLEEN, _value(STOMACH), HEART}


def structures(x: np.ndarray, y: np.ndarray, z: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The structure at every point (mm, LPS); uint8 of the points' shape [Z, Y, X].

    `random` varies sizes and places of organs, the fat layer and the bowel; the same state gives the same patient.
    """
    layer = random.uniform(0.92, 1.04)
    result = _torso(x, y, z, layer)
    inside = _ellipse(x, y - _INNER_CENTRE_Y, _INNER) < 1
    lungs = inside & (z > _diaphragm(x, y))
    result[inside] = FAT
    _add_bowel(result, x, y, z, inside & ~lungs, random)
    result[lungs] = LUNG
    for shape in _varied(random):
        _paint(result, shape, x, y, z, lungs if shape.value == _LIVER or shape.value == _SPLEEN else None, inside)
    return result


def _varied(random: np.random.Generator) -> Iterator[Blob | Tube]:
    """The shapes of one patient: a size and a shift for every structure, common to its parts."""
    sizes = random.normal(1.0, 0.04, STRUCTURES)
    shifts = random.normal(0.0, 2.5, (STRUCTURES, 3))
    for shape in SHAPES:
        size, shift = sizes[shape.value], shifts[shape.value]
        if isinstance(shape, Blob):
            radii: Point = tuple(r * size for r in shape.radii)  # type: ignore[assignment]
            yield Blob(shape.value, _moved(shape.centre, shift), radii, shape.angle)
        else:
            yield Tube(shape.value, tuple(_moved(p, shift * 0.5) for p in shape.points), shape.radius * size)


def _moved(point: Point, shift: np.ndarray) -> Point:
    return (point[0] + float(shift[0]), point[1] + float(shift[1]), point[2] + float(shift[2]))


def _paint(
    result: np.ndarray,
    shape: Blob | Tube,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    lungs: np.ndarray | None,
    inside: np.ndarray,
) -> None:
    window = _window(shape.box, x, y, z)
    if window is None:
        return
    mask = shape.contains(x[window], y[window], z[window])
    if shape.value in _ONLY_INSIDE:
        mask &= inside[window]
    if lungs is not None:
        mask &= ~lungs[window]
    if shape.value == HEPATIC_VESSEL:
        mask &= result[window] == _LIVER
    if shape.value == RENAL_SINUS:
        mask &= np.isin(result[window], (_RK, _LK, FAT))
    if shape.value == MUSCLE:
        mask &= inside[window]
    result[window][mask] = shape.value


def _window(box: tuple[Sequence[float], Sequence[float]], *points: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The part of the grid that can hold the box; the grid is bent a little, hence the margin."""
    slices = []
    for axis, (array, low, high) in enumerate(zip(points, *box, strict=True)):
        order = 2 - axis
        other = tuple(a for a in range(3) if a != order)
        middle = array.mean(axis=other)
        near = np.flatnonzero((middle > low - _MARGIN) & (middle < high + _MARGIN))
        if near.size == 0:
            return None
        slices.append(slice(int(near[0]), int(near[-1]) + 1))
    return (slices[2], slices[1], slices[0])


def _ellipse(x: np.ndarray, y: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    """Below 1 inside a rounded rectangle."""
    value: np.ndarray = np.abs(x / radii[0]) ** 2.4 + np.abs(y / radii[1]) ** 2.4
    return value


def _torso(x: np.ndarray, y: np.ndarray, z: np.ndarray, layer: float) -> np.ndarray:
    """Skin fat, a wall of muscle with ribs, the muscles of the back; air outside."""
    result = np.zeros(x.shape, np.uint8)
    body = _ellipse(x, y - 4, (_BODY[0] * layer, _BODY[1] * layer)) < 1
    wall = _ellipse(x, y - 2, (_INNER[0] + 13, _INNER[1] + 12)) < 1
    back = (np.abs(np.abs(x) - 36) / 30) ** 2 + ((y - 98) / 20) ** 2 < 1
    result[body] = FAT
    result[body & (wall | back)] = MUSCLE
    ring = wall & (_ellipse(x, y - 2, (_INNER[0] + 3, _INNER[1] + 2)) > 1) & (z > -40 - 0.4 * y)
    result[body & ring & (np.mod(z - 0.35 * y + 0.2 * np.abs(x), 26) < 9)] = BONE
    return result


def _diaphragm(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the two domes; the right one is higher."""
    right = 112 - ((x + 70) / 78) ** 2 * 60 - ((y + 5) / 95) ** 2 * 75
    left = 104 - ((x - 70) / 78) ** 2 * 60 - ((y + 5) / 95) ** 2 * 75
    height: np.ndarray = np.maximum(np.maximum(right, left), 10)
    return height


def _add_bowel(
    result: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, room: np.ndarray, random: np.random.Generator
) -> None:
    """Winding loops in the lower front, some with gas."""
    phase = random.uniform(0, 2 * np.pi, 6)
    wave = (
        np.sin(x / 13 + phase[0]) * np.sin(z / 12 + phase[1])
        + np.sin(y / 12 + phase[2]) * np.sin(x / 16 + phase[3])
        + np.sin(z / 15 + phase[4]) * np.sin(y / 13 + phase[5])
    )
    lower = room & (z < 5 + 0.15 * x) & (y < 42)
    result[lower & (wave > -0.25)] = BOWEL
    result[lower & (wave > 1.1) & (y < -25)] = GAS
    result[lower & (wave > 1.0) & (y > -25)] = FLUID
