"""What the study of one label measures after each round of SemiSAM-O1: Dice of the test cases and pseudo labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import IGNORE, LabelSet, organ_named
from LiverMRISegLib.data.case_cache import labels_of
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.one_label import first_labels
from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig
from LiverMRISegLib.one_label.rounds import OneLabelConfig, run
from LiverMRISegLib.pseudo_labels.outputs import labelmap_of
from study import SCORES, kept_labels, test


@dataclass(frozen=True)
class OneLabelRow:
    """A row of SemiSAM-O1: its first labels, and the rounds on them."""

    name: str
    first: FirstLabelsConfig
    config: OneLabelConfig


def run_rounds(row: OneLabelRow, lists: Datalist, tests: Sequence[Scan], labels: LabelSet) -> None:
    """Run a row of SemiSAM-O1 and keep, for every round, scores.json of the tests and of the pseudo labels.

    The labels of unlabelled volumes are read here, after the training, and nowhere else.
    """
    config = row.config
    first_labels.run(row.first)
    run(config)
    kept = kept_labels(labels, config.data.organs)
    for folder in rounds_of(config.run_folder):
        if not (folder / "pseudo.json").exists():
            found = _dice_of_all(row.first, lists, folder / "labels")
            atomic_write_text(folder / "pseudo.json", json.dumps(found))
        if (folder / "training").exists() and not (folder / SCORES).exists():
            scores = test(folder / "training" / "model", tests, kept)
            atomic_write_text(folder / SCORES, json.dumps(scores, indent=1))


def first_table(firsts: Mapping[str, FirstLabelsConfig], lists: Datalist) -> str:
    """Make first labels in several ways; their Dice x 100, and how long the encoder took for volumes not yet cached."""
    lines = []
    for name, config in firsts.items():
        try:
            first_labels.run(config)
        except (UsageError, ModelError) as error:  # no voxel on the grid, or a peer that was not trained
            lines.append([name, str(error), "", ""])
            continue
        dice, is_open = 100 * np.array(_dice_of_all(config, lists, config.output)).T
        lines.append([name, f"{dice.mean():.1f} ({dice.std():.1f})", f"{dice.min():.1f}", f"{is_open.mean():.1f}"])
    return markdown_table(["first labels", "Dice (SD)", "lowest", "open, %"], lines)


def _dice_of_all(config: FirstLabelsConfig, lists: Datalist, folder: Path) -> list[tuple[float, float]]:
    """`_dice` of every case but the template."""
    others = [s for s in lists.scans if s.split == "train" and s.patient != config.template]
    return [_dice(scan, lists, folder, config.organs) for scan in others]


def rounds_of(run_folder: Path) -> list[Path]:
    """round_0 (the first labels), round_1, ..."""
    return sorted(run_folder.glob("round_*"), key=lambda path: int(path.name.split("_")[1]))


def rounds_table(rows: Sequence[OneLabelRow]) -> str:
    """Mean and SD of Dice x 100 after every round."""
    header = ["row", "round", "test Dice (SD)", "lowest", "pseudo labels' Dice (SD)", "open, %"]
    return markdown_table(header, (line for row in rows for line in _lines(row.name, row.config.run_folder)))


def _lines(name: str, folder: Path) -> Iterator[list[str]]:
    for path in rounds_of(folder):
        if not (path / "pseudo.json").exists():
            continue
        pseudo, is_open = 100 * np.array(json.loads((path / "pseudo.json").read_text())).T
        tested = ["", ""]
        if (path / SCORES).exists():
            dice = 100 * np.array([s["dsc"] for s in json.loads((path / SCORES).read_text())])
            tested = [f"{dice.mean():.2f} ({dice.std():.2f})", f"{dice.min():.1f}"]
        number = path.name.split("_")[1]
        yield [name, number, *tested, f"{pseudo.mean():.2f} ({pseudo.std():.2f})", f"{is_open.mean():.1f}"]


def _dice(scan: Scan, lists: Datalist, folder: Path, organs: Sequence[str]) -> tuple[float, float]:
    """Dice of what is not left open, the mean over the organs, and the share of all voxels that is."""
    if scan.labels is None:
        return float("nan"), float("nan")
    truth = labels_of(lists, scan.labels, read_volume(scan.image), [organ_named(o).name for o in organs])
    made = read_labelmap(labelmap_of(scan, folder)).array
    known = made != IGNORE
    made, truth = made[known], truth[known]
    found = [
        2 * ((made == v) & (truth == v)).sum() / max(1, (made == v).sum() + (truth == v).sum())
        for v in range(1, len(organs) + 1)
    ]
    return float(np.mean(found)), float(1 - known.mean())
