"""Whether DICOM images make a volume: one at each place, evenly spaced, none missing; and the grid of that volume.

Positions and directions are text of some decimals. What rounding to these can explain is not a fault of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError

# Share of the usual distance (of a pixel) by which a slice may be elsewhere.
_TOLERANCE = 0.1
_SMALLEST_SPACING = 1e-6
# Directions with fewer decimals are known less well than the line on which the slices are.
_EXACT_DECIMALS = 4
_MOST_DECIMALS = 9


@dataclass(frozen=True)
class Plane:
    """Place of one image, as its header gives it: empty where it does not, or where a number is not finite.

    `position` of the first pixel (mm, LPS), `orientation` (directions of columns, then of rows, as in
    Image Orientation), `spacing` of the pixels (between rows, between columns); the decimals of the first two, for each
    number.
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    position_decimals: tuple[int, ...] = (_MOST_DECIMALS,) * 3
    orientation_decimals: tuple[int, ...] = (_MOST_DECIMALS,) * 6

    @property
    def lack(self) -> str:
        """What the header does not give, in words; "" if it gives all."""
        if len(self.position) != 3 or len(self.orientation) != 6:
            return "position (missing or NaN)"
        has_spacing = len(self.spacing) == 2 and min(self.spacing) >= _SMALLEST_SPACING
        return "" if has_spacing else "pixel spacing (missing, 0 or NaN)"

    @property
    def normal(self) -> np.ndarray:
        """Direction in which the slices are stacked, of length 1."""
        across = np.cross(self.orientation[:3], self.orientation[3:])
        with np.errstate(invalid="ignore"):  # of directions that are 0 it is NaN
            return np.asarray(across / np.linalg.norm(across))


@dataclass(frozen=True)
class Stack:
    """The planes of a volume from the lowest to the highest: their `order`, and the axes of their grid.

    `axes`' columns are the directions of columns, rows and slices; `step` is the distance of slices in mm, `origin` the
    position of the first pixel.
    `notes`: in words, what a person should know of how the places were read.
    """

    order: list[int]
    axes: np.ndarray
    step: float
    origin: tuple[float, ...]
    notes: tuple[str, ...] = ()


def decimals(text: str) -> tuple[int, ...]:
    """How many decimals each number of a decimal string needs, at most 9; zeros at the end are none."""
    found = []
    for word in text.split("\\"):
        mantissa, _, exponent = word.strip("\0 ").lower().partition("e")
        shift = int(exponent) if exponent.lstrip("+-").isdecimal() and len(exponent) < 6 else 0
        found.append(min(_MOST_DECIMALS, max(0, len(mantissa.partition(".")[2].rstrip("0")) - shift)))
    return tuple(found)


def stacked(subject: str, planes: Sequence[Plane]) -> Stack:
    """The volume that the planes make; InputError, of a message that begins with `subject`, if they make none."""
    check_places(subject, planes)
    if len(planes) < 2:
        raise InputError(f"{subject} has a single image; a volume of several slices is needed")
    corners = np.array([plane.position for plane in planes])
    units = 10.0 ** -np.array([plane.position_decimals for plane in planes]).max(axis=0)
    unit, cosine_unit = float(units.max()), _cosine_unit(planes)
    rows, normal = np.array(planes[0].orientation).reshape(2, 3), planes[0].normal
    order = np.argsort(corners @ normal, kind="stable")
    even = _check_steps(subject, (corners @ normal)[order], float(np.abs(normal) @ units))
    span = corners[order[-1]] - corners[order[0]]
    length, pixel = float(np.linalg.norm(span)), min(planes[0].spacing)
    is_coarse = cosine_unit >= 10.0**-_EXACT_DECIMALS
    slack = _TOLERANCE * pixel + min(1.8 * unit, pixel) + 2 * cosine_unit * length * is_coarse
    if not np.abs((corners - corners[order[0]]) @ rows.T).max() <= slack:
        raise InputError(
            f"{subject} has images shifted in their plane (tilted gantry); resample it to a regular grid first"
        )
    line = span / length if is_coarse and unit / length < cosine_unit / 4 else None
    along = normal if line is None else line
    notes: tuple[str, ...] = ()
    step, origin = float(span @ along) / (len(planes) - 1), corners[order[0]]
    if not even:
        places = (corners @ along)[order]
        step, start = (float(v) for v in np.polyfit(np.arange(len(planes)), places, 1))
        origin = origin + (start - places[0]) * along
        notes = (f"the positions of the slices are rounded to {unit:g} mm; they are taken as evenly spaced",)
    return Stack([int(i) for i in order], _axes(rows, line), step, tuple(float(v) for v in origin), notes)


def _cosine_unit(planes: Sequence[Plane]) -> float:
    """To what the directions are rounded. Those along the axes need no decimals; they are exact."""
    most = max(max(plane.orientation_decimals) for plane in planes)
    return 10.0 ** -(most if most > 1 else _MOST_DECIMALS)


def cosine_tolerance(planes: Sequence[Plane]) -> float:
    """By how much a direction of one image may differ from that of another of the same volume."""
    return 1e-3 + _cosine_unit(planes)


def same_spacing(plane: Plane, first: Plane) -> bool:
    """Whether the pixels of an image are as large as those of the first."""
    return all(abs(one - other) <= 1e-3 * other for one, other in zip(plane.spacing, first.spacing, strict=True))


def check_places(subject: str, planes: Sequence[Plane]) -> None:
    """InputError unless every plane has a sound place, and all have one orientation and one pixel spacing."""
    lack = next((plane.lack for plane in planes if plane.lack), "")
    if lack:
        raise InputError(f"{subject} has images whose header gives no {lack}; export it again")
    rows, unit = np.array([plane.orientation for plane in planes]).reshape(-1, 2, 3), _cosine_unit(planes)
    if not np.abs(rows @ rows.transpose(0, 2, 1) - np.eye(2)).max() <= max(5e-3, 4 * unit):
        raise InputError(f"{subject} has images whose rows and columns are not perpendicular; export it again")
    if not np.abs(rows - rows[0]).max() <= cosine_tolerance(planes):
        raise InputError(f"{subject} has images in different planes (a localizer?); choose another series")
    if not all(same_spacing(plane, planes[0]) for plane in planes):
        raise InputError(f"{subject} has images of different pixel spacings; export it again or choose another series")


def _axes(rows: np.ndarray, line: np.ndarray | None) -> np.ndarray:
    """Columns, rows and slices as perpendicular directions, `line` that of the slices where it is known better."""
    if line is not None:
        rows = rows - np.outer(rows @ line, line)
    elif np.abs(rows @ rows.T - np.eye(2)).max() <= 1e-5:
        return np.column_stack([rows[0], rows[1], np.cross(rows[0], rows[1])])
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    nearest = left @ right
    return np.column_stack([nearest[0], nearest[1], np.cross(nearest[0], nearest[1])])


def _check_steps(subject: str, places: np.ndarray, unit: float) -> bool:
    """Whether the slices are evenly spaced as they are; False if only rounding to `unit` mm can explain the steps.

    InputError if neither is so.
    """
    steps = np.diff(places)
    usual = float(np.median(steps))
    if not steps.min() >= 0.01:
        raise InputError(
            f"{subject} has several images at one place, and nothing tells which belong together; "
            "export each echo or phase as a series of its own"
        )
    numbered = np.arange(len(places))
    rest = float(np.abs(places - np.polyval(np.polyfit(numbered, places, 1), numbered)).max())
    if max(rest, np.abs(steps - usual).max()) <= max(_TOLERANCE * usual, 0.02):
        return True
    even = float((places[-1] - places[0]) / (len(places) - 1))
    if len(places) > 3 and even >= 2 * unit and rest <= 0.7 * unit:
        return False
    widest = int(np.argmax(steps))
    if steps[widest] < 1.5 * usual:
        raise InputError(
            f"{subject} has slices at different distances ({steps.min():.2f} to {steps.max():.2f} mm); "
            "resample it to a regular grid first"
        )
    missing = max(1, round(steps[widest] / usual) - 1)
    raise InputError(
        f"{subject} lacks about {missing} slice(s) between {places[widest]:.1f} mm "
        f"and {places[widest + 1]:.1f} mm; export it again, complete"
    )
