"""How the pseudo labels of one-label training develop over the rounds: a table, curves and a sheet of pictures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.data.datalist import Datalist, case_name, read_datalist
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_bytes, atomic_write_text
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.pictures import curves_png, development_png, sheet_png
from LiverMRISegLib.pseudo_labels.outputs import some_of

_PICTURES = 12
_NOT_FIGURES = ("case", "kept", "score")
Figures = dict[str, dict[str, float]]


def write_development(folder: Path, rounds: Sequence[Path]) -> None:
    """Write development.csv, development.png and the last round's means for TensorBoard.

    Args:
        folder: of the run.
        rounds: the folders of labels, the first labels' first, each with datalist.json and cases.csv.

    Raises:
        InputError: a round's files are missing.
        OutputError: the files cannot be written.
    """
    known = [_read_figures(labels / "cases.csv") for labels in rounds]
    means = [_means(figures) for figures in known]
    atomic_write_text(folder / "development.csv", _table(known))
    names = list(dict.fromkeys(name for found in means for name in found))
    curves = {name: [found.get(name, np.nan) for found in means] for name in names}
    pictures = _pictures([read_datalist(labels / "datalist.json") for labels in rounds], list(known[-1]))
    atomic_write_bytes(folder / "development.png", sheet_png([curves_png(curves, "round"), *pictures]))
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name, value in means[-1].items():
            writer.add_scalar(f"rounds/{name}", value, len(rounds) - 1)


def _read_figures(path: Path) -> Figures:
    """The figures of every case, in the order of cases.csv: from best to worst."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); remove its folder, and it will be made again"
        ) from error
    return {row["case"]: {k: float(v) for k, v in row.items() if k not in _NOT_FIGURES and v} for row in rows}


def _means(figures: Figures) -> dict[str, float]:
    names = dict.fromkeys(name for found in figures.values() for name in found)
    return {name: float(np.mean([f[name] for f in figures.values() if name in f])) for name in names}


def _table(known: Sequence[Figures]) -> str:
    """A line per round and case."""
    names = list(dict.fromkeys(name for figures in known for found in figures.values() for name in found))
    rows = [
        [number, case, *(f"{found[name]:.4f}" if name in found else "" for name in names)]
        for number, figures in enumerate(known)
        for case, found in sorted(figures.items())
    ]
    return csv_table(["round", "case", *names], rows)


def _pictures(lists: Sequence[Datalist], cases: Sequence[str]) -> list[bytes]:
    """Of some of the cases, in their order: the same slice with the labels of every round."""
    labels = LabelSet.of("rounds", [organ_named(name) for name in lists[0].values.values()])
    scans = [{case_name(scan): scan for scan in listed.scans} for listed in lists]
    pictures = []
    for case in some_of(cases, _PICTURES):
        found = [each[case] for each in scans]
        labelmaps = [read_labelmap(s.labels).array.astype(np.uint8) for s in found if s.labels is not None]
        titles = [f"{case}, first labels", *(f"round {n}" for n in range(1, len(labelmaps)))]
        pictures.append(development_png(read_volume(found[0].image), labelmaps, titles, labels))
    return pictures
