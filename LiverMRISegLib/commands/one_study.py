"""--one-study of `segment`: volumes of one study that disagree on an organ are flagged, both of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.case_result import CaseResult
from LiverMRISegLib.commands.inputs import ALL
from LiverMRISegLib.commands.plan import SegmentCase

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmentation import Segmentation
    from LiverMRISegLib.measurement.study import Place
    from LiverMRISegLib.volume import Volume


class OneStudy:
    """Keeps where the organs of each case are; does nothing without the option."""

    def __init__(self, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._places: list[Place] = []
        self.said: Mapping[str, list[str]] = {}

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> OneStudy:
        """For the arguments of `segment`: a DICOM folder of which all series are taken is a study."""
        return cls(arguments.one_study or arguments.series == ALL)

    def add(self, case: SegmentCase, volume: Volume, segmentation: Segmentation) -> None:
        """Take the organs of a case."""
        if self._is_wanted:
            from LiverMRISegLib.measurement.study import Place

            self._places.append(Place.of(case.name, segmentation.labelmap_volume, segmentation.labels))

    def flagged(self, results: Iterable[CaseResult]) -> list[CaseResult]:
        """All results, once they are there, with a flag more for each organ on which a case disagrees with another."""
        done = list(results)
        if self._is_wanted:
            from LiverMRISegLib.measurement.study import disagreements

            self.said = {name: list(lines.values()) for name, lines in disagreements(self._places).items()}
        return [replace(one, flags=[*one.flags, *self.said.get(one.case.name, ())]) for one in done]
