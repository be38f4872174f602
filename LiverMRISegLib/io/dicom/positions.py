"""Whether DICOM images make a volume: one at each place, evenly spaced, none missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError

# Share of the usual distance (of a pixel) by which a slice may lie elsewhere.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Plane:
    """Place of one image, as its header tells: empty where it does not.

    `position` of the first pixel (mm, LPS), `orientation` (directions of columns, then of rows, as in
    Image Orientation), `spacing` of the pixels (between rows, between columns).
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]

    @property
    def normal(self) -> np.ndarray:
        """Direction in which the slices are stacked."""
        return np.cross(self.orientation[:3], self.orientation[3:])


def check_planes(subject: str, planes: Sequence[Plane]) -> None:
    """InputError, of a message that begins with `subject`, unless the planes are those of a volume."""
    if any(len(plane.position) != 3 or len(plane.orientation) != 6 for plane in planes):
        raise InputError(f"{subject} has images that tell no position; export it as an MR series")
    if any(len(plane.spacing) != 2 or min(plane.spacing) <= 0 for plane in planes):
        raise InputError(f"{subject} has images that tell no pixel spacing; export it as an MR series")
    rows = np.array([plane.orientation for plane in planes])
    if np.abs(rows - rows[0]).max() > 1e-3:
        raise InputError(f"{subject} has images in different planes (a localizer?); choose another series")
    corners = np.array([plane.position for plane in planes])
    _check_steps(subject, np.sort(corners @ planes[0].normal))
    drift = (corners - corners[0]) @ rows[0].reshape(2, 3).T
    if np.abs(drift).max() > _TOLERANCE * min(planes[0].spacing):
        raise InputError(
            f"{subject} has images shifted in their plane (tilted gantry); resample it to a regular grid first"
        )


def _check_steps(subject: str, places: np.ndarray) -> None:
    steps = np.diff(places)
    usual = float(np.median(steps))
    if steps.min() < 0.01:
        raise InputError(
            f"{subject} has several images at one place (echoes or phases); export each phase as a series of its own"
        )
    widest = int(np.argmax(steps))
    if np.abs(steps - usual).max() > max(_TOLERANCE * usual, 0.02):
        missing = max(1, round(steps[widest] / usual) - 1)
        raise InputError(
            f"{subject} lacks about {missing} slice(s) between {places[widest]:.1f} mm "
            f"and {places[widest + 1]:.1f} mm; export it again, complete"
        )
