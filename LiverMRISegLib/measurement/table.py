"""Measurements as a table: a row for each organ and map; a figure that could not be measured is an empty cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.measurement.organs import Measurements, OrganMeasurement
from LiverMRISegLib.measurement.statistics import MapStatistics

FIGURES = ("mean", "sd", "median", "p5", "p25", "p75", "p95")
HEADER = (
    "case", "organ", "volume_ml", "voxels", "craniocaudal_mm", "longest_mm", "map", "unit", *FIGURES, "map_voxels",
    "not_finite", "outliers", "covered_percent", "erosion_mm", "outlier_rule", "remarks", "error",
)  # fmt: skip


def as_csv(cases: Sequence[Measurements]) -> str:
    """The rows of all cases below `HEADER`."""
    return csv_table(HEADER, [row for case in cases for row in rows(case)])


def rows(case: Measurements) -> list[list[str]]:
    """The rows of one case, with cells as in `HEADER`: of each organ one for each map (one if there is none), and of
    what several organs give together.
    """
    found = []
    for organ in case.organs:
        for title in [*case.units] or [""]:
            found.append(_row(case, organ, title))
    for figure in case.derived:
        remarks = "; ".join([*figure.remarks, *case.remarks])
        found.append([case.name, figure.name, number(figure.value), *[""] * (len(HEADER) - 5), remarks, ""])
    return found


def as_document(case: Measurements) -> dict[str, Any]:
    """One case for JSON: null where a figure could not be measured."""
    organs = [
        {
            "organ": found.organ.name, "volume_ml": found.volume_ml, "voxels": found.voxels, "is_cut": found.is_cut,
            "craniocaudal_mm": found.craniocaudal_mm, "longest_mm": found.longest_mm,
            "maps": {title: {"unit": case.units[title], **asdict(own)} for title, own in found.statistics.items()},
            "remarks": found.remarks,
        }
        for found in case.organs
    ]  # fmt: skip
    derived = [asdict(figure) for figure in case.derived]
    rules = asdict(case.rules)
    return {"case": case.name, "organs": organs, "derived": derived, "rules": rules, "remarks": case.remarks}


def error_row(name: str, error: str) -> list[str]:
    """The row of a case that failed."""
    return [name, *[""] * (len(HEADER) - 2), error]


def number(value: float | None) -> str:
    """A figure with enough digits for its size; "" for None."""
    return "" if value is None else f"{value:.6g}" if abs(value) < 1000 else f"{value:.3f}"


def _row(case: Measurements, organ: OrganMeasurement, title: str) -> list[str]:
    found = organ.statistics.get(title, MapStatistics())
    is_measured = bool(title) and organ.voxels > 0
    of_map = [number(getattr(found, figure)) for figure in FIGURES]
    covered = "" if found.covered is None else f"{100 * found.covered:.1f}"
    counts = [str(found.voxels), str(found.not_finite), str(found.outliers), covered]
    rules = [f"{case.rules.erosion_mm:g}", _rule(case.rules.outliers)]
    return [
        case.name, organ.organ.name, number(organ.volume_ml), str(organ.voxels), number(organ.craniocaudal_mm),
        number(organ.longest_mm), title, case.units.get(title, ""), *of_map, *(counts if is_measured else [""] * 4),
        *(rules if title else ["", ""]), "; ".join([*organ.remarks, *found.remarks, *case.remarks]), "",
    ]  # fmt: skip


def _rule(outliers: float | None) -> str:
    return "none" if outliers is None else f"median +- {outliers:g} x 1.4826 MAD"
