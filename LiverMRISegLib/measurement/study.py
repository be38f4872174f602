"""Several volumes of one study: organs on which two of them disagree badly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.measurement.label_shapes import bounding_boxes, touches_edge, volumes_ml
from LiverMRISegLib.measurement.maps import box_on, covered_share
from LiverMRISegLib.volume import Volume, resample

# Fine enough for what is said, and so small that the label maps of a whole study fit in memory.
_SPACING_MM = 2.0
_OUTSIDE = 255
# Between breath-holds organs move, but keep their size and shape.
_LOWEST_RATIO, _LOWEST_DICE, _LONGEST_MOVE_MM = 0.7, 0.6, 50.0
# Smaller organs are too uncertain, and a part of an organ may be moved out of the image.
_LEAST_ML, _LEAST_CUT_ML = 20.0, 60.0
_WHOLE = 0.95
_MOST_NAMED = 3


@dataclass(frozen=True)
class Place:
    """Where the organs of one volume of a study are: a label map at about 2 mm, organs of `volumes_ml` as 1, 2, 3."""

    name: str
    labelmap: Volume
    volumes_ml: Mapping[str, float]
    cut: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, labelmap: Volume, labels: LabelSet) -> Place:
        """The place of the organs of a label map, which can then be let go."""
        fine = np.zeros(labelmap.array.shape, np.uint8)
        numbered = LabelSet(labels.name, dict(enumerate(labels.organs[: _OUTSIDE - 1], start=1)))
        for number, value in zip(numbered, labels, strict=False):
            fine[labelmap.array == value] = number
        boxes = bounding_boxes(fine)
        cut = {numbered[n].name for n, box in boxes.items() if touches_edge(fine[box] == n, box, fine.shape)}
        x, y, z = (max(s, _SPACING_MM) for s in labelmap.geometry.spacing)
        grid = labelmap.geometry.with_spacing((x, y, z))
        coarse = resample(Volume(fine, labelmap.geometry, name, labelmap.metadata), grid, nearest=True)
        return cls(name, coarse, volumes_ml(fine, numbered, labelmap.geometry.voxel_volume_ml), frozenset(cut))

    def number_of(self, organ: str) -> int:
        """Its label."""
        return list(self.volumes_ml).index(organ) + 1

    def is_whole_in(self, organ: str, other: Place) -> bool:
        """Whether the organ is not cut here, and all of it inside the other volume."""
        voxels = self.labelmap.array == self.number_of(organ)
        if organ in self.cut:
            return False
        return not voxels.any() or covered_share(voxels, self.labelmap.geometry, other.labelmap.geometry) >= _WHOLE


@dataclass(frozen=True)
class Disagreement:
    """Two volumes that disagree on an organ: mL of it where both show the body, and what is wrong, in words."""

    organ: str
    names: tuple[str, str]
    volumes_ml: tuple[float, float]
    problem: str


def disagreements(places: Sequence[Place]) -> dict[str, dict[str, str]]:
    """What to say of each volume of one study, by its name and the organ's; a pair that disagrees says so in both.

    Compared are all pairs with one frame of reference (or one place, where files do not give it), within what both
    volumes show. They disagree on an organ of 20 mL or more if only one has it, if their volumes differ by more than
    a factor of 0.7, if it is more than 50 mm away, or if its Dice is below 0.6 after it was moved onto the other:
    organs move between breath-holds, and keep their size and shape. Of an organ that is cut only its absence counts,
    from 60 mL.
    """
    found = [one for first, second in combinations(places, 2) for one in compared(first, second)]
    return {place.name: _words(place.name, found) for place in places}


def compared(first: Place, second: Place) -> Iterator[Disagreement]:
    """The organs on which two volumes disagree; none if they show different places."""
    frames = [place.labelmap.metadata.get("frame of reference", "") for place in (first, second)]
    is_other_frame = all(frames) and frames[0] != frames[1]
    if is_other_frame or box_on(second.labelmap.geometry, first.labelmap.geometry) is None:
        return
    grid = first.labelmap.geometry
    moved = resample(second.labelmap, grid, nearest=True, fill=_OUTSIDE).array
    here, there = np.where(moved == _OUTSIDE, 0, first.labelmap.array), np.where(moved == _OUTSIDE, 0, moved)
    for organ in (name for name in first.volumes_ml if name in second.volumes_ml):
        masks = here == first.number_of(organ), there == second.number_of(organ)
        is_whole = first.is_whole_in(organ, second) and second.is_whole_in(organ, first)
        if is_whole:
            volumes = first.volumes_ml[organ], second.volumes_ml[organ]
        else:
            volumes = tuple(float(np.count_nonzero(mask)) * grid.voxel_volume_ml for mask in masks)  # type: ignore[assignment]
        problem = _problem(*masks, volumes, grid.spacing[::-1], is_whole)
        if problem:
            yield Disagreement(organ, (first.name, second.name), volumes, problem)


def _problem(
    one: np.ndarray, other: np.ndarray, volumes: tuple[float, float], spacing: Sequence[float], is_whole: bool
) -> str:
    """What is wrong with two masks of an organ; "" if nothing is."""
    low, high = sorted(volumes)
    if low == 0:
        return "found in one only" if high >= (_LEAST_ML if is_whole else _LEAST_CUT_ML) else ""
    if high < _LEAST_ML or not is_whole:
        return ""
    if low / high < _LOWEST_RATIO:
        return "of another size"
    first, second = np.argwhere(one), np.argwhere(other)
    if not len(first) or not len(second):
        return "in another place"
    move = first.mean(0) - second.mean(0)
    distance = float(np.linalg.norm(move * np.array(spacing)))
    if distance > _LONGEST_MOVE_MM:
        return f"{distance:.0f} mm away"
    overlap = dice(*_together(first, second + np.round(move).astype(int)))
    return f"of another shape, Dice {overlap:.2f} after moving it there" if overlap < _LOWEST_DICE else ""


def _together(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of voxels as masks of one shape."""
    lowest = np.minimum(first.min(0), second.min(0))
    shape = np.maximum(first.max(0), second.max(0)) - lowest + 1
    masks = np.zeros(shape, bool), np.zeros(shape, bool)
    for mask, voxels in zip(masks, (first, second), strict=True):
        mask[tuple((voxels - lowest).T)] = True
    return masks


def _words(name: str, found: Sequence[Disagreement]) -> dict[str, str]:
    """A line for each organ: its volume here, and the volumes that disagree."""
    lines = {}
    for organ in dict.fromkeys(one.organ for one in found if name in one.names):
        own = [one for one in found if one.organ == organ and name in one.names]
        others = []
        for one in own[:_MOST_NAMED]:
            is_first = one.names[0] == name
            here, there = one.volumes_ml if is_first else one.volumes_ml[::-1]
            others.append(f"{one.names[is_first]} ({there:.0f} mL, here {here:.0f} mL; {one.problem})")
        more = f" and {len(own) - _MOST_NAMED} more" if len(own) > _MOST_NAMED else ""
        lines[organ] = f"{organ} disagrees with {', '.join(others)}{more}: look at both"
    return lines
