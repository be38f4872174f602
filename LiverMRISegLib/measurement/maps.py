"""Maps of a quantity (fat fraction, R2*, T1, ADC, an image itself) and an organ's values in them.

The mask is brought to the map's grid, not the map to the mask's: each voxel of the map counts once, as it was measured.
Interpolating the map instead averages its noise away and draws in what is beside the organ; docs/studies/measurement.md
has the figures. It is also what 3D Slicer's Segment Statistics does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import Box, Geometry, Volume, resample

# UCUM units by the usual names of maps. ADC has none: files have it in mm2/s, um2/s and others.
UNITS = {
    "pdff": "%", "ff": "%", "fat fraction": "%", "r2*": "/s", "r2star": "/s", "r2": "/s", "r1": "/s",
    "t1": "ms", "t2": "ms", "t2*": "ms", "t2star": "ms",
}  # fmt: skip
IMAGE = "image"
_INSIDE = 0.5
# A map of the usual unit has values beyond these somewhere (fat, fluid, vessels); one of another unit has none.
_OTHER_UNITS = {"%": (1.5, "a fraction from 0 to 1"), "ms": (10.0, "in s"), "/s": (2.0, "in 1/ms")}
# Fit and noise carry a fat fraction a little beyond 100 %, not so many voxels so far.
_FAR_ABOVE_PERCENT, _NOTABLE_SHARE = 150.0, 0.01


@dataclass(frozen=True)
class QuantityMap:
    """A map to be measured: `volume` (NaN where there is no value), `unit` in UCUM ("" if not known), and in `note`
    what a reader of its figures must know.
    """

    volume: Volume
    unit: str = ""
    note: str = ""


def quantity_map(name: str, volume: Volume, unit: str | None = None) -> QuantityMap:
    """`volume` as the map called `name`, which gives the usual unit where `unit` does not.

    A note says where the values contradict the unit that was assumed by the name.
    """
    if unit is not None:
        return QuantityMap(volume, unit)
    usual = UNITS.get(name.lower(), "")
    return QuantityMap(volume, usual, _doubt(name, volume.array, usual))


def _doubt(name: str, values: np.ndarray, unit: str) -> str:
    """Why `values` are hardly in `unit`; empty where nothing speaks against it."""
    finite = values[np.isfinite(values)]
    if unit not in _OTHER_UNITS or not finite.size or finite.min() == finite.max():
        return ""
    highest, (least, other) = float(finite.max()), _OTHER_UNITS[unit]
    if highest <= least:
        return f"no value of {name} is above {highest:.3g}: is it {other}, not in {unit}?"
    if unit == "%" and np.count_nonzero(finite > _FAR_ABOVE_PERCENT) > _NOTABLE_SHARE * finite.size:
        return f"many values of {name} are far above 100 %: is it stored in tenths of a percent?"
    return ""


def check_same_patient(labelmap: Volume, name: str, volume: Volume) -> None:
    """Refuse a map that cannot be of the label map's patient and position.

    Raises:
        InputError: DICOM says that they have different frames of reference, or they are nowhere in the same place.
    """
    frames = [v.metadata.get("frame of reference", "") for v in (labelmap, volume)]
    if all(frames) and frames[0] != frames[1]:
        raise InputError(
            f"{volume.name}: map '{name}' and the segmentation {labelmap.name} have different frames of reference, so "
            "their positions cannot be compared; give the map of the same session, or register it first"
        )
    if box_on(labelmap.geometry, volume.geometry) is None:
        raise InputError(
            f"{volume.name}: map '{name}' is nowhere in the same place as the segmentation {labelmap.name}; check that "
            "both are of the same patient and session"
        )


def values_in(mask: np.ndarray, geometry: Geometry, volume: Volume) -> tuple[np.ndarray, float]:
    """The map's values in a mask, and the share of the mask that the map covers.

    Args:
        mask: bool [Z, Y, X], not empty.
        geometry: grid of the mask.
        volume: the map, on any grid.

    Returns:
        Values [n] of the map's voxels whose centres are in the mask, more than half by its linear interpolation; and
        the share, 0 to 1.
    """
    box = box_on(geometry, volume.geometry)
    if box is None:
        return np.empty(0, volume.array.dtype), 0.0
    start = (box[2].start, box[1].start, box[0].start)
    array = volume.array[box]
    grid = volume.geometry.cropped(start, array.shape[::-1])
    share = resample(Volume(mask.astype(np.float32), geometry), grid).array
    return array[share > _INSIDE], covered_share(mask, geometry, volume.geometry)


def box_on(geometry: Geometry, other: Geometry) -> Box | None:
    """The box [Z, Y, X] of `other`'s voxels around all of `geometry`; None if the two do not meet."""
    ends = np.array([(-0.5, n - 0.5) for n in geometry.size])
    corners = np.array([(z, y, x) for x in ends[0] for y in ends[1] for z in ends[2]])
    places = _index_in(corners, geometry, other)
    lower = np.maximum(np.floor(places.min(0)), 0).astype(int)
    upper = np.minimum(np.ceil(places.max(0)) + 1, np.array(other.shape)).astype(int)
    if np.any(lower >= upper) or np.any(places.max(0) < -0.5) or np.any(places.min(0) > np.array(other.shape) - 0.5):
        return None
    z, y, x = (slice(int(a), int(b)) for a, b in zip(lower, upper, strict=True))
    return (z, y, x)


def covered_share(mask: np.ndarray, geometry: Geometry, other: Geometry) -> float:
    """Share of the mask's voxels whose centres are inside the other grid's outer edges."""
    places = _index_in(np.argwhere(mask), geometry, other)
    inside = np.all((places >= -0.5) & (places <= np.array(other.shape) - 0.5), axis=1)
    return float(inside.mean())


def _index_in(indices: np.ndarray, geometry: Geometry, other: Geometry) -> np.ndarray:
    """Indices (z, y, x) of one grid as fractional indices (z, y, x) of the other."""
    matrix = np.array(geometry.direction) * np.array(geometry.spacing)
    points = indices[:, ::-1] @ matrix.T + np.array(geometry.origin) - np.array(other.origin)
    back = np.linalg.inv(np.array(other.direction) * np.array(other.spacing))
    return (points @ back.T)[:, ::-1]
