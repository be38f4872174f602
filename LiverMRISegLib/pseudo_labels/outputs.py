"""What every selection of pseudo labels writes: the datalist, a table of all cases, a sheet of pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.case_selection import Listed
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name, write_datalist
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_bytes, atomic_write_text
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.measurement.label_shapes import volumes_ml
from LiverMRISegLib.pictures import sheet_png, three_planes_png
from LiverMRISegLib.pseudo_labels.ranking import RankedCase, keep_best
from LiverMRISegLib.volume import Geometry

_PICTURES = 24
T = TypeVar("T")


def check_case_names(scans: Sequence[Scan]) -> None:
    """UsageError where two scans would share their files."""
    known: dict[str, Scan] = {}
    for scan in scans:
        other = known.setdefault(case_name(scan), scan)
        if other is not scan:
            raise UsageError(
                f"{scan.image}: is case {case_name(scan)}, and so is {other.image}; use one of them, or give each a "
                "'series' of its own in the datalist"
            )


def labelmap_of(scan: Scan, folder: Path) -> Path:
    """Where the pseudo label of a scan is in the output folder of a selection."""
    return folder / f"{case_name(scan)}.nii.gz"


def organ_figures(labelmap: np.ndarray, labels: LabelSet, geometry: Geometry) -> dict[str, float]:
    """The volume of every organ, for `write_case_lists`."""
    found = volumes_ml(labelmap, labels, geometry.voxel_volume_ml)
    return {f"{organ}, mL": volume for organ, volume in found.items()}


def rank_by_sequence(
    scans: Sequence[Listed], scores: Mapping[str, float], keep: int, *, highest: bool
) -> list[RankedCase]:
    """`keep_best` within each sequence; `scores` by `case_name`."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for _, scan in scans:
        groups[scan.sequence][case_name(scan)] = scores[case_name(scan)]
    return [case for group in groups.values() for case in keep_best(group, keep, highest=highest)]


def write_case_lists(
    scans: Sequence[Listed],
    ranked: Sequence[RankedCase],
    figures: Mapping[str, Mapping[str, float]],
    labels: LabelSet,
    output: Path,
    ignore: int = 0,
) -> None:
    """Write datalist.json (kept cases with their label maps in `output`), cases.csv (all, with figures), cases.png.

    `ignore`: as in `Datalist`.

    Raises:
        OutputError: they cannot be written.
    """
    write_datalist(_datalist(scans, ranked, labels, output, ignore), output / "datalist.json")
    atomic_write_text(output / "cases.csv", _table(ranked, figures))
    atomic_write_bytes(output / "cases.png", _sheet(scans, ranked, labels, output))


def summary(ranked: Sequence[RankedCase], output: Path) -> str:
    """One line about a selection."""
    kept = sum(case.is_kept for case in ranked)
    return f"{kept} of {len(ranked)} cases kept; all with their figures in {output / 'cases.csv'}"


def _datalist(
    scans: Sequence[Listed], ranked: Sequence[RankedCase], labels: LabelSet, output: Path, ignore: int
) -> Datalist:
    kept = {case.name for case in ranked if case.is_kept}
    listed = [
        replace(
            scan,
            image=scan.image.absolute(),
            labels=labelmap_of(scan, output).absolute() if case_name(scan) in kept else None,
            split="train",
        )
        for _, scan in scans
    ]
    licence = "; ".join(sorted({datalist.licence for datalist, _ in scans}))
    values = {value: organ.name for value, organ in labels.items()}
    return Datalist("pseudo labels", licence, values, listed, ignore=ignore)


def _table(ranked: Sequence[RankedCase], figures: Mapping[str, Mapping[str, float]]) -> str:
    """Every case from best to worst, kept or not, with its figures; an empty cell where one is not known."""
    columns = list(dict.fromkeys(column for found in figures.values() for column in found))
    rows = []
    for case in ranked:
        found = figures[case.name]
        cells = [f"{found[c]:.4f}" if np.isfinite(found.get(c, np.nan)) else "" for c in columns]
        rows.append([case.name, "yes" if case.is_kept else "no", f"{case.score:.4f}", *cells])
    return csv_table(["case", "kept", "score", *columns], rows)


def some_of(cases: Sequence[T], count: int) -> list[T]:
    """At most `count` cases, spread evenly from the first to the last."""
    if len(cases) <= count:
        return list(cases)
    return [cases[place] for place in np.linspace(0, len(cases) - 1, count).round().astype(int)]


def _sheet(scans: Sequence[Listed], ranked: Sequence[RankedCase], labels: LabelSet, output: Path) -> bytes:
    """Pictures of cases from best to worst."""
    by_name = {case_name(scan): scan for _, scan in scans}
    pictures = []
    for case in some_of(ranked, _PICTURES):
        scan = by_name[case.name]
        labelmap = read_labelmap(labelmap_of(scan, output)).array.astype(np.uint8)
        pictures.append(three_planes_png(read_volume(scan.image), labelmap, labels))
    return sheet_png(pictures)
