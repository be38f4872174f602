"""The volumes that share one DICOM series: time points, echoes, flip angles, b-values, phase images.

A series is taken apart by what differs between its images: the attribute, or the few of them, by which every part is a
sound volume at the same places. Only if nothing tells them apart, the order of their numbers does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom.frame_facts import ACQUISITION_TIME, ATTRIBUTES, CONTRASTS, FILE, UNITS, Fact, seconds_of
from LiverMRISegLib.io.dicom.positions import Plane, check_places, stacked

_ONE_PLACE = 0.01  # mm
# Share of the distance of slices by which volumes of one series may begin or end elsewhere.
_SHIFT = 0.25
_MOST_TOGETHER, _MOST_NAMED = 3, 8


@dataclass(frozen=True)
class Part:
    """One of the volumes: its `frames` among those of the series, what it is, and when it was taken.

    `seconds` are since the first of the volumes; None if the images do not say, or all were taken at once. Of a part
    that is not complete, `missing` slices are not there.
    """

    frames: tuple[int, ...]
    words: str = ""
    seconds: float | None = None
    missing: int = 0


@dataclass(frozen=True)
class SharedSeries:
    """All volumes of a series, in order. `difference`: in what they differ, for a message; `note`: a doubt, or ""."""

    parts: tuple[Part, ...]
    difference: str
    note: str = ""


def taken_apart(
    planes: Sequence[Plane], facts: Sequence[Mapping[str, Fact]], numbers: Sequence[tuple[int, int]]
) -> SharedSeries | None:
    """The volumes that share a series whose images are not a single volume; None if it cannot be taken apart.

    Args:
        planes: the places of all frames.
        facts: what is known of each (`frame_facts`).
        numbers: of each frame, by which it is sorted where no attribute tells the volumes apart.
    """
    try:
        check_places("", planes)
    except InputError:
        return None
    search = _Search(planes, facts)
    for names, groups in search.candidates(_MOST_TOGETHER):
        if search.are_whole(groups):
            return _described(names, groups, facts, numbers, 0)
    for names, groups in search.candidates(2):
        if search.have_gaps(groups):
            return _described(names, groups, facts, numbers, search.places)
    counted = search.by_number(numbers)
    if counted is None or not search.are_whole(counted):
        return None
    parts = tuple(Part(tuple(group), f"number {place}") for place, group in enumerate(counted, start=1))
    note = (
        f"the images do not say to which of {len(parts)} volumes at one place they belong; they were sorted by their "
        "numbers"
    )
    return SharedSeries(parts, f"the numbers of their images (1 to {len(parts)})", note)


class _Search:
    """Ways to take a series apart, and whether one is sound."""

    def __init__(self, planes: Sequence[Plane], facts: Sequence[Mapping[str, Fact]]) -> None:
        self._planes, self._facts = planes, facts
        self._along = np.array([plane.position for plane in planes]) @ planes[0].normal
        order = np.argsort(self._along, kind="stable")
        starts = np.concatenate([[True], np.diff(self._along[order]) >= _ONE_PLACE])
        self._place = np.empty(len(order), int)
        self._place[order] = np.cumsum(starts) - 1
        self._counts = np.bincount(self._place)

    @property
    def places(self) -> int:
        """At how many places there are images."""
        return len(self._counts)

    def candidates(self, together: int) -> Iterator[tuple[tuple[str, ...], list[list[int]]]]:
        """Attributes, at most `together` at once, and the frames that have the same values of them."""
        known = (
            *(a.name for a in ATTRIBUTES),
            *sorted({n for f in self._facts for n in f if n.startswith("dim")}),
            FILE,
        )
        codes = {name: _codes([fact.get(name, "") for fact in self._facts]) for name in known}
        varying = [name for name in known if codes[name].any()]
        for count in range(1, together + 1):
            for names in itertools.combinations(varying, count):
                joined = np.stack([codes[name] for name in names])
                _, which, sizes = np.unique(joined, axis=1, return_inverse=True, return_counts=True)
                if 2 <= len(sizes) <= len(self._planes) // 2:
                    order = np.argsort(which.reshape(-1), kind="stable")
                    yield names, [[int(i) for i in part] for part in np.split(order, np.cumsum(sizes)[:-1])]

    def are_whole(self, groups: Sequence[Sequence[int]]) -> bool:
        """Whether every group is a volume, of one number of slices, at the same places as the others."""
        if len({len(group) for group in groups}) > 1:
            return False
        ends = np.array([[self._along[group].min(), self._along[group].max()] for group in map(list, groups)])
        step = float(np.diff(ends[0])[0]) / max(1, len(groups[0]) - 1)
        return bool(np.ptp(ends, axis=0).max() <= _SHIFT * step) and all(self._is_volume(group) for group in groups)

    def have_gaps(self, groups: Sequence[Sequence[int]]) -> bool:
        """Whether some groups are volumes of all places, and others lack images: a stopped scan, lost files."""
        full = [group for group in groups if len(group) == self.places]
        if not full or len(groups) != self._counts.max():
            return False
        is_single = all(np.bincount(self._place[list(group)]).max() == 1 for group in groups)
        return is_single and all(self._is_volume(group) for group in full)

    def by_number(self, numbers: Sequence[tuple[int, int]]) -> list[list[int]] | None:
        """The first image at each place, the second one, and so on; None if that is not clear."""
        many = int(self._counts.max())
        if many < 2 or self._counts.min() != many or len(set(numbers)) < len(numbers):
            return None
        order = sorted(range(len(numbers)), key=lambda i: (self._place[i], numbers[i]))
        return [order[first::many] for first in range(many)]

    def _is_volume(self, group: Sequence[int]) -> bool:
        if len(group) < 2:
            return False
        try:
            stacked("", [self._planes[i] for i in group])
        except InputError:
            return False
        return True


def _codes(values: Sequence[Fact]) -> np.ndarray:
    """A whole number for every value, 0 for all if they are equal."""
    known: dict[Fact, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values])


def _described(
    names: tuple[str, ...],
    groups: Sequence[Sequence[int]],
    facts: Sequence[Mapping[str, Fact]],
    numbers: Sequence[tuple[int, int]],
    places: int,
) -> SharedSeries:
    """The groups in the order of their values, or of their images' numbers where these are text."""

    def rank(group: Sequence[int]) -> tuple[tuple[float, ...], tuple[int, int]]:
        """Numbers first, then where its first image comes in the series."""
        values = [facts[group[0]].get(name, ()) for name in names]
        known = tuple(v for value in values if not isinstance(value, str) for v in value)
        return known, min(numbers[i] for i in group)

    ordered = sorted(groups, key=rank)
    times = _times(ordered, facts)
    told = (*(name for name in CONTRASTS if name not in names and _tells(name, ordered, facts)), *names)
    values = [[_shown(name, facts[group[0]].get(name, "")) for name in told] for group in ordered]
    words = [", ".join(f"{name} {value}" for name, value in zip(told, own, strict=True)) for own in values]
    parts = tuple(
        Part(tuple(group), text, seconds, places - len(group) if places else 0)
        for group, text, seconds in zip(ordered, words, times, strict=True)
    )
    listed = [", ".join(own) for own in values[:_MOST_NAMED]]
    shown = "; ".join(listed) + ("; ..." if len(values) > _MOST_NAMED else "")
    return SharedSeries(parts, f"{' and '.join(told)} ({shown})")


def _tells(name: str, groups: Sequence[Sequence[int]], facts: Sequence[Mapping[str, Fact]]) -> bool:
    """Whether an attribute is the same within every group, and not in all: averages of a b-value are two volumes."""
    values = [{facts[i].get(name, "") for i in group} for group in groups]
    return all(len(own) == 1 for own in values) and len(set().union(*values)) > 1


def _shown(name: str, fact: Fact) -> str:
    if not fact:
        return "none"
    if isinstance(fact, str):
        return fact if len(fact) <= 60 else f"{fact[:57]}..."
    return " ".join(f"{v:g}" for v in fact) + (f" {UNITS[name]}" if UNITS.get(name) else "")


def _times(groups: Sequence[Sequence[int]], facts: Sequence[Mapping[str, Fact]]) -> list[float | None]:
    """When each group began, in seconds since the first; None for all if one does not say, or if all are one time."""
    begun = []
    for group in groups:
        known = [seconds_of(facts[i].get(ACQUISITION_TIME, "")) for i in group]
        begun.append(min((time for time in known if time is not None), default=None))
    if any(time is None for time in begun) or len(set(begun)) < 2:
        return [None] * len(groups)
    first = min(time for time in begun if time is not None)
    return [None if time is None else round(time - first, 3) for time in begun]
