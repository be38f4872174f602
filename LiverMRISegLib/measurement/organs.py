"""`measure`: every organ of a label map, its volume, its length and what maps say in it. Nothing is silently zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from LiverMRISegLib.anatomy import LEFT_KIDNEY, RIGHT_KIDNEY, SPLEEN, LabelSet, Organ
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.measurement.erosion import eroded, grown_box
from LiverMRISegLib.measurement.label_shapes import bounding_boxes, touches_edge, voxel_counts
from LiverMRISegLib.measurement.lengths import craniocaudal_mm, longest_mm
from LiverMRISegLib.measurement.maps import QuantityMap, check_same_patient, values_in
from LiverMRISegLib.measurement.statistics import MapStatistics, described
from LiverMRISegLib.volume import Box, Geometry, Volume

MEASURED_LENGTHS = (SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY)
TOTAL_KIDNEY_VOLUME = "total kidney volume"
_CUT = "touches the edge of the volume, its volume may be incomplete"
_AT_THE_END = "ends with the segmentation's own grid: if the image ends there too, its volume may be incomplete"
_NOTABLE_SHARE = 0.005
_NOTABLE_ZEROS, _FEW_VOXELS = 0.05, 20
_HIGHEST_COUNTED = 2**16 - 1


@dataclass(frozen=True)
class Rules:
    """What of an organ counts for the statistics of maps; its volume is always that of the whole mask.

    Attributes:
        erosion_mm: leave out what is less deep below the organ's surface.
        outliers: leave out values farther than this times 1.4826 MAD from the median; None keeps all.
    """

    erosion_mm: float = 0.0
    outliers: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.erosion_mm <= 100:
            raise UsageError(f"an erosion of {self.erosion_mm:g} mm cannot be used; give 0 to 100 mm")
        if self.outliers is not None and not 0.5 <= self.outliers <= 100:
            raise UsageError(f"outliers of {self.outliers:g} deviations cannot be left out; give 0.5 to 100, e.g. 3")


@dataclass(frozen=True)
class OrganMeasurement:
    """One organ: `volume_ml` and lengths in mm are None where it was not found (lengths also of other organs)."""

    organ: Organ
    voxels: int = 0
    volume_ml: float | None = None
    is_cut: bool = False
    craniocaudal_mm: float | None = None
    longest_mm: float | None = None
    statistics: Mapping[str, MapStatistics] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Derived:
    """A figure that several organs give; `value` is None where none of them was found."""

    name: str
    value: float | None
    unit: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """Everything measured of one label map. `units` and `notes` are those of the maps, by name."""

    name: str
    organs: tuple[OrganMeasurement, ...]
    derived: tuple[Derived, ...]
    units: Mapping[str, str]
    notes: Mapping[str, str]
    rules: Rules
    remarks: tuple[str, ...] = ()

    def of(self, organ: Organ) -> OrganMeasurement | None:
        """The measurement of one organ, if the label set has it."""
        return next((found for found in self.organs if found.organ == organ), None)

    def with_remarks(self, said: Mapping[str, str]) -> Measurements:
        """The same with a remark more for each of the organs named."""
        organs = [
            replace(found, remarks=(*found.remarks, said[found.organ.name])) if found.organ.name in said else found
            for found in self.organs
        ]
        return replace(self, organs=tuple(organs))


@dataclass(frozen=True)
class Labels:
    """Organs numbered 1, 2, 3, ... [Z, Y, X] on a grid, which may have been cropped around them."""

    array: np.ndarray
    geometry: Geometry
    is_cropped: bool = False

    def around(self, number: int, box: Box) -> tuple[np.ndarray, Geometry]:
        """The mask of an organ with a voxel more around its box, as far as there is one, and its grid."""
        wide = grown_box(box, self.array.shape)
        mask = self.array[wide] == number
        start = [part.start for part in wide[::-1]]
        if self.is_cropped:  # nothing of the organ is beyond
            mask = np.pad(mask, 1)
            start = [first - 1 for first in start]
        return mask, self.geometry.cropped(start, mask.shape[::-1])


def measure(
    labelmap: Volume,
    labels: LabelSet,
    maps: Mapping[str, QuantityMap] | None = None,
    rules: Rules | None = None,
    name: str | None = None,
) -> Measurements:
    """Measure every organ of `labels` in a label map.

    Args:
        labelmap: whole numbers [Z, Y, X]. With `metadata["cropped"]` its grid may end where the organs do, so that
            an organ at its edge need not be cut, and is eroded there too.
        labels: what they mean. Other values are not measured, and said.
        maps: by name, on any grids of the same patient and position.
        rules: what counts for the maps' statistics; all voxels by default.
        name: of the case; that of the label map by default.

    Raises:
        InputError: a map is of another frame of reference, or in another place.
    """
    maps, rules = maps or {}, rules or Rules()
    for title, quantity in maps.items():
        check_same_patient(labelmap, title, quantity.volume)
    known, remarks = _known_labels(labelmap.array, labels)
    boxes = bounding_boxes(known)
    grid = Labels(known, labelmap.geometry, bool(labelmap.metadata.get("cropped")))
    organs = tuple(
        _measured(organ, number, grid, boxes[number], maps, rules) if number in boxes else _missing(organ, maps)
        for number, organ in enumerate(labels.organs, start=1)
    )
    units = {title: quantity.unit for title, quantity in maps.items()}
    notes = {title: quantity.note for title, quantity in maps.items() if quantity.note}
    return Measurements(name or labelmap.name, organs, derived(organs), units, notes, rules, remarks)


def derived(organs: tuple[OrganMeasurement, ...]) -> tuple[Derived, ...]:
    """What several organs give: the total kidney volume, where both kidneys are among the organs looked for."""
    kidneys = [found for found in organs if any(found.organ.means(one) for one in (RIGHT_KIDNEY, LEFT_KIDNEY))]
    if len(kidneys) < 2:
        return ()
    found = [kidney for kidney in kidneys if kidney.volume_ml is not None]
    remarks = [f"{k.organ.name} was not found and is not in the sum" for k in kidneys if k.volume_ml is None]
    remarks += [f"{k.organ.name} {text}" for k in kidneys for text in k.remarks if k.is_cut]
    total = sum(k.volume_ml for k in found if k.volume_ml is not None) if found else None
    return (Derived(TOTAL_KIDNEY_VOLUME, total, "mL", tuple(remarks)),)


def _known_labels(array: np.ndarray, labels: LabelSet) -> tuple[np.ndarray, tuple[str, ...]]:
    """The label map with its organs numbered 1, 2, 3, ... in the order of `labels`, and what is left out."""
    numbers = {value: number for number, value in enumerate(labels, start=1)}
    values, places = _values_of(array)
    table = np.array([numbers.get(int(value), 0) for value in values], np.uint16)
    unknown = [str(v) for v in values[voxel_counts(places) > 0] if v != 0 and int(v) not in numbers]
    shown = ", ".join(unknown[:10]) + (", ..." if len(unknown) > 10 else "")
    remarks = (f"label values that {labels.name} does not have were not measured: {shown}",) if unknown else ()
    return table[places], remarks


def _values_of(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values, and an array of their places among these: the array itself where its values are small."""
    highest = int(array.max())
    if highest <= _HIGHEST_COUNTED:
        return np.arange(highest + 1), array
    values, places = np.unique(array, return_inverse=True)
    return values, places.reshape(array.shape)


def _missing(organ: Organ, maps: Mapping[str, QuantityMap]) -> OrganMeasurement:
    return OrganMeasurement(
        organ, statistics={title: MapStatistics() for title in maps}, remarks=(f"{organ.name} was not found",)
    )


def _measured(
    organ: Organ, number: int, labels: Labels, box: Box, maps: Mapping[str, QuantityMap], rules: Rules
) -> OrganMeasurement:
    own = labels.array[box] == number
    is_cut = touches_edge(own, box, labels.array.shape)
    mask, grid = labels.around(number, box)
    has_length = any(organ.means(one) for one in MEASURED_LENGTHS)
    used = _eroded(mask, grid, rules.erosion_mm) if maps else mask
    statistics = {title: _statistics(title, quantity, used, grid, rules) for title, quantity in maps.items()}
    voxels = int(np.count_nonzero(own))
    return OrganMeasurement(
        organ,
        voxels,
        voxels * grid.voxel_volume_ml,
        is_cut,
        craniocaudal_mm(mask, grid) if has_length else None,
        longest_mm(mask, grid) if has_length else None,
        statistics,
        (_AT_THE_END if labels.is_cropped else _CUT,) if is_cut else (),
    )


def _eroded(mask: np.ndarray, grid: Geometry, depth_mm: float) -> np.ndarray:
    x, y, z = grid.spacing
    return eroded(mask, (z, y, x), depth_mm) if depth_mm > 0 else mask


def _statistics(title: str, quantity: QuantityMap, mask: np.ndarray, grid: Geometry, rules: Rules) -> MapStatistics:
    """The statistics of one map in what the erosion left of an organ, with remarks."""
    if not mask.any():
        return MapStatistics(remarks=(f"the erosion of {rules.erosion_mm:g} mm left nothing",))
    values, covered = values_in(mask, grid, quantity.volume)
    found = described(values, rules.outliers, covered)
    return replace(found, remarks=(*_remarks(title, values, found), *([quantity.note] if quantity.note else [])))


def _remarks(title: str, values: np.ndarray, found: MapStatistics) -> list[str]:
    """What a reader of the figures must know, in the order of its weight."""
    remarks = []
    if found.covered == 0:
        return [f"{title} does not cover the organ"]
    if found.covered is not None and found.covered < 1 - _NOTABLE_SHARE:
        remarks.append(f"{title} covers only {found.covered:.0%} of the organ")
    if not values.size:
        return [*remarks, f"no voxel of {title} has its centre in the organ"]
    if found.not_finite == values.size:
        return [*remarks, f"{title} has no value here: all {values.size} voxels are NaN, infinite or padding"]
    if found.not_finite:
        remarks.append(f"{found.not_finite} of {values.size} voxels of {title} are NaN, infinite or padding, left out")
    if found.voxels < _FEW_VOXELS:
        remarks.append(f"only {found.voxels} voxels of {title} are in the organ")
    zeros = int(np.count_nonzero(values == 0))
    if zeros > _NOTABLE_ZEROS * values.size:
        remarks.append(f"{zeros} of {values.size} voxels of {title} are exactly 0: a map may mark a failed fit so")
    return remarks
