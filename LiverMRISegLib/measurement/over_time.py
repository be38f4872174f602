"""Time points of one patient: a table of every figure and how it changed since the first."""

from __future__ import annotations

from collections.abc import Sequence

from LiverMRISegLib.measurement.organs import MEASURED_LENGTHS, Measurements
from LiverMRISegLib.measurement.table import number

_VOLUME, _LENGTHS, _OF_MAPS = "volume", ("craniocaudal length", "longest diameter"), ("mean", "median")


def study_table(cases: Sequence[Measurements]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table over the time points of one patient, the first of `cases` being the earliest.

    A row for each organ and figure (volume, lengths, mean and median of maps), a column for each time point, and for
    each later one its difference to the first, absolute and in percent. A figure that is missing is an empty cell, and
    "remarks" say what each time point says of the organ.
    """
    first, *later = [case.name for case in cases]
    changes = [text for name in later for text in (f"{name} minus {first}", f"{name} minus {first}, %")]
    rows = []
    for organ, figure, unit in _figures(cases):
        values = [_value(case, organ, figure) for case in cases]
        differences = [cell for value in values[1:] for cell in _difference(values[0], value)]
        remarks = [f"{case.name}: {'; '.join(said)}" for case in cases if (said := _remarks(case, organ, figure))]
        rows.append([organ, figure, unit, *map(number, values), *differences, " | ".join(remarks)])
    return ["organ", "figure", "unit", first, *later, *changes, "remarks"], rows


def _figures(cases: Sequence[Measurements]) -> list[tuple[str, str, str]]:
    """(organ, figure, unit) of every row, each once, in the order of the cases."""
    found: dict[tuple[str, str], str] = {}
    for case in cases:
        for organ in case.organs:
            found.setdefault((organ.organ.name, _VOLUME), "mL")
            for length in _LENGTHS if organ.organ in MEASURED_LENGTHS else ():
                found.setdefault((organ.organ.name, length), "mm")
            for title, unit in case.units.items():
                for word in _OF_MAPS:
                    found.setdefault((organ.organ.name, f"{title} {word}"), unit)
        for figure in case.derived:
            found.setdefault((figure.name, _VOLUME), figure.unit)
    return [(*key, unit) for key, unit in found.items()]


def _value(case: Measurements, organ: str, figure: str) -> float | None:
    for derived in case.derived:
        if derived.name == organ:
            return derived.value
    found = next((one for one in case.organs if one.organ.name == organ), None)
    if found is None:
        return None
    own: dict[str, float | None] = {
        _VOLUME: found.volume_ml, _LENGTHS[0]: found.craniocaudal_mm, _LENGTHS[1]: found.longest_mm,
    }  # fmt: skip
    title, _, word = figure.rpartition(" ")
    return getattr(found.statistics[title], word) if title in found.statistics else own.get(figure)


def _difference(first: float | None, value: float | None) -> tuple[str, str]:
    if first is None or value is None:
        return "", ""
    change = value - first
    return f"{change:+.6g}", f"{100 * change / first:+.1f}" if first > 0 else ""


def _remarks(case: Measurements, organ: str, figure: str) -> list[str]:
    title = figure.rpartition(" ")[0]
    found = next((one for one in case.organs if one.organ.name == organ), None)
    if found is None:
        return [text for derived in case.derived if derived.name == organ for text in derived.remarks]
    of_map = found.statistics[title].remarks if title in found.statistics else ()
    return [*found.remarks, *of_map]
