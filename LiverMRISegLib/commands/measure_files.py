"""Reading what `measure` needs of a case: the segmentation with what its labels mean, and the maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.commands.console import note
from LiverMRISegLib.commands.measure_cases import Pairing
from LiverMRISegLib.io.dicom.dixon import FAT, IN_PHASE, OUT_PHASE, WATER
from LiverMRISegLib.measurement.fat_fraction import fat_fraction_of_phases, fat_fraction_of_water_and_fat
from LiverMRISegLib.measurement.maps import QuantityMap, quantity_map
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.volume import Volume

_PAIRS = {
    "fat fraction (water, fat)": (WATER, FAT, fat_fraction_of_water_and_fat),
    "fat fraction (in, out of phase)": (IN_PHASE, OUT_PHASE, fat_fraction_of_phases),
}
_OF_PAIRS = (WATER, FAT, IN_PHASE, OUT_PHASE)


class Segmentations:
    """Reads label maps; says once if their values were taken for those of the default model."""

    def __init__(self, labels: str | None) -> None:
        self._labels = labels
        self._has_said = False

    def read(self, path: Path) -> tuple[Volume, LabelSet]:
        """A label map and what its values mean: by the names of its segments, --labels, or the default model.

        Names come first, as in `evaluate`: their numbers say nothing. --labels is for what has no names.

        Raises:
            InputError: it cannot be read, or names two segments alike.
        """
        from LiverMRISegLib.evaluation.cohort import labels_named
        from LiverMRISegLib.evaluation.pair import segment_labels
        from LiverMRISegLib.io import read_labelmap
        from LiverMRISegLib.io.read import named_segments
        from LiverMRISegLib.io.segment_codes import SEGMENTS, contradictions, meant_in_words

        labelmap = replace(read_labelmap(path), name=path.name)
        given = self._labels and labels_named(self._labels)
        if given and not named_segments(labelmap):
            return labelmap, given
        if SEGMENTS not in labelmap.metadata:
            self._say(path)
            return labelmap, labels_named(DEFAULT_MODEL)
        segments = {**labelmap.metadata[SEGMENTS], **named_segments(labelmap)}
        for said in (meant_in_words(labelmap), *(f"{said}; the name counts" for said in contradictions(labelmap))):
            if said:
                note(f"{path.name}: {said}")
        if given:
            _note_contradiction(path, segments, given)
        return labelmap, segment_labels(segments, path)

    def _say(self, path: Path) -> None:
        if not self._has_said:
            note(
                f"{path.name}: its values, and those of any other mask without names, are taken for those of "
                f"{DEFAULT_MODEL}; --labels says otherwise"
            )
        self._has_said = True


def _note_contradiction(path: Path, segments: Mapping[int, str], labels: LabelSet) -> None:
    """Say where a file, by whose names it is measured, calls a value otherwise than --labels."""
    for value, name in segments.items():
        said = labels.get(value)
        if said is not None and structure_named(name, value) in labels.organs and structure_named(name, value) != said:
            note(
                f"{path.name}: calls value {value} {name}, and --labels calls it {said.name}; the names in the file "
                "count"
            )
            return


def read_maps(case: str, pairing: Pairing, units: Mapping[str, str]) -> dict[str, QuantityMap]:
    """All maps of a case, and the fat fraction of each pair of images that was given.

    Raises:
        InputError: one is missing, cannot be read, or a pair is not on one grid.
    """
    from LiverMRISegLib.io.read import read_map

    found: dict[str, Volume] = {}
    for kind in pairing.places:
        path = pairing.file_of(kind, case)
        found[kind] = replace(read_map(path, is_signal=kind in _OF_PAIRS, kind=kind), name=path.name)
    maps = {}
    for title, (one, other, fraction) in _PAIRS.items():
        if one in found:
            maps[title] = fraction(found.pop(one), found.pop(other))
    return {**{title: quantity_map(title, v, units.get(title)) for title, v in found.items()}, **maps}
