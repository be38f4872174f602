"""The stage that keeps the cases whose pseudo labels change least from iteration to iteration (paper 004, eq. 7)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.data.datalist import Scan, case_name, read_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.folder_claim import claimed_folder
from LiverMRISegLib.io.limits import Count
from LiverMRISegLib.pseudo_labels.output_folder import files_of, keep_apart
from LiverMRISegLib.pseudo_labels.outputs import labelmap_of, rank_by_sequence, write_case_lists
from LiverMRISegLib.pseudo_labels.ranking import RankedCase, instability, union
from LiverMRISegLib.volume import SAME_PLACE, Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StableCasesConfig(Checked):
    """Config of `scripts/train/stable_cases.py`."""

    iterations: tuple[Path, ...] = ()
    """Output folders of `pseudo_label.py` in their order, all of the same scans."""
    keep: Count = 50
    """How many cases of each sequence are kept, the most stable first."""
    join: bool = True
    """The labels are the union of all iterations' (paper 004); otherwise those of the last."""
    output: Path = Path("runs/stable_labels")
    """Folder for the label maps, datalist.json, cases.csv and cases.png."""


def run(config: StableCasesConfig) -> list[RankedCase]:
    """Compare the iterations' labels of every scan; all cases from most to least stable.

    Raises:
        UsageError: fewer than two iterations, or labels of other organs than in the last.
        InputError: an iteration lacks a scan of the last, or labelled it on another grid.
        OutputError: the output cannot be written.
    """
    if len(config.iterations) < 2:
        raise UsageError("stability needs the labels of at least two iterations")
    paths = [folder / "datalist.json" for folder in config.iterations]
    lists = [read_datalist(path) for path in paths]
    last = lists[-1]
    keep_apart(config.output, [*paths, *files_of(last.scans)])
    if any((dict(each.values), each.ignore) != (dict(last.values), last.ignore) for each in lists):
        raise UsageError("the iterations have labels of different organs; use those of one workflow")
    with claimed_folder(config.output):
        figures: dict[str, dict[str, float]] = {}
        for scan in tqdm(last.scans, "volumes", disable=None, dynamic_ncols=True):
            figures[case_name(scan)] = _compared(scan, config)
        labels = LabelSet(last.name, {value: organ_named(organ) for value, organ in last.values.items()})
        scans = [(last, scan) for scan in last.scans]
        scores = {name: float(np.mean(list(found.values()))) for name, found in figures.items()}
        ranked = rank_by_sequence(scans, scores, config.keep, highest=False)
        write_case_lists(scans, ranked, figures, labels, config.output, last.ignore)
        return ranked


def _compared(scan: Scan, config: StableCasesConfig) -> dict[str, float]:
    """How much each iteration changed the one before; the label map for training is written."""
    paths = [labelmap_of(scan, folder) for folder in config.iterations]
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: not found; label the same scans in every iteration")
    found = [read_labelmap(path) for path in paths]
    for path, each in zip(paths, found, strict=True):
        if not each.geometry.is_close(found[-1].geometry, SAME_PLACE):
            raise InputError(f"{path}: is on another grid than {paths[-1]}; label the scan again in every iteration")
    maps: Sequence[np.ndarray] = [volume.array.astype(np.uint8) for volume in found]
    chosen = union(maps) if config.join else maps[-1]
    write_volume(Volume(chosen, found[-1].geometry, scan.patient), labelmap_of(scan, config.output))
    return {f"change {n}": instability(pair) for n, pair in enumerate(pairwise(maps), start=1)}
