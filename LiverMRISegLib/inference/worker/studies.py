"""Volumes of one study that were segmented one after another: where two of them disagree."""

from __future__ import annotations

from LiverMRISegLib.inference.segmenter import Segmentation
from LiverMRISegLib.measurement.study import Place, disagreements
from LiverMRISegLib.volume import Volume

# A study is forgotten once as many others have come.
_MOST = 8


class Studies:
    """Where the organs of each volume of a study are, for whoever asks whether they agree."""

    def __init__(self) -> None:
        self._places: dict[str, list[Place]] = {}

    def add(self, study: str, case: str, found: Segmentation, frame_of_reference: str | None) -> None:
        """Remember a result; one of the same case replaces it."""
        facts = {"frame of reference": frame_of_reference} if frame_of_reference else {}
        labelmap = Volume(found.labelmap, found.geometry, case, facts)
        kept = [place for place in self._places.pop(study, []) if place.name != case]
        self._places[study] = [*kept, Place.of(case, labelmap, found.labels)]
        while len(self._places) > _MOST:
            del self._places[next(iter(self._places))]

    def disagreements(self, study: str) -> dict[str, list[str]]:
        """What to say of each case of a study so far: see `measurement.study.disagreements`."""
        found = disagreements(self._places.get(study, []))
        return {case: list(organs.values()) for case, organs in found.items()}
