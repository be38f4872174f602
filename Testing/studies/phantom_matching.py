"""Multi-domain matching (paper 004) on phantoms of eight sequences: phantom_matching.py [--steps N].

Labels on C+V of 8 patients stand for CT translated into what looks like T1. 24 other patients have one sequence each,
3 of every sequence, without labels. Two folds learn the labelled patients and label the others; cases of the four
sequences that they agree on least get warped labels of their nearest case of another; a new network learns all that.
Dice of four organs, on 4 patients of their own with all sequences, and of the pseudo labels themselves.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Sequence, organ_named
from LiverMRISegLib.data.case_selection import FoldConfig
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.evaluation.metrics import evaluate_case
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.pseudo_labels import match_domains, pseudo_label
from LiverMRISegLib.pseudo_labels.match_domains import MatchDomainsConfig
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from study import SCORES, test

LLD_MMRI_SEQUENCES = (
    Sequence.DWI, Sequence.T2WI, Sequence.C_ARTERIAL, Sequence.IN_PHASE, Sequence.OUT_PHASE, Sequence.C_PRE,
    Sequence.C_VENOUS, Sequence.C_DELAY,
)  # fmt: skip
_ORGANS = ("liver", "right kidney", "left kidney", "spleen")
# Those that the folds agree on least: cases.csv of the pseudo labels (0.21 to 0.58; the others 0.46 to 0.71).
_WORSE = ("T2WI", "DWI", "InPhase", "OutPhase")
_BETTER = tuple(s.value for s in LLD_MMRI_SEQUENCES if s.value not in _WORSE)
_LABELLED, _EACH, _TESTED = 8, 3, 4
_TRUTH = LabelSet("phantom", {LABELS.value_of(organ_named(name)): organ_named(name) for name in _ORGANS})
_STUDENT = LabelSet.of("student", [organ_named(name) for name in _ORGANS])


@dataclass(frozen=True)
class Lists:
    """Datalists: labelled source, unlabelled target, and the target with its truth, for measuring alone."""

    source: Path
    target: Path
    truth: Path


def make_data(folder: Path) -> Lists:
    """Write the phantoms and their datalists, unless they are there."""
    lists = Lists(*(folder / f"{name}.json" for name in ("source", "target", "truth")))
    if lists.truth.exists():
        return lists
    folder.mkdir(parents=True, exist_ok=True)
    labelled = [s for n in range(_LABELLED) for s in _scans(folder, n, [Sequence.C_VENOUS], "train")]
    others = [(n, s) for n, s in enumerate(s for s in LLD_MMRI_SEQUENCES for _ in range(_EACH))]
    target = [s for n, sequence in others for s in _scans(folder, 100 + n, [sequence], "train")]
    tested = [s for n in range(_TESTED) for s in _scans(folder, 200 + n, list(LLD_MMRI_SEQUENCES), "test")]
    values = {value: organ.name for value, organ in LABELS.items()}
    write_datalist(Datalist("source phantoms", "Apache-2.0", values, labelled), lists.source)
    unlabelled = [replace(scan, labels=None) for scan in target]
    write_datalist(Datalist("target phantoms", "Apache-2.0", {}, unlabelled), lists.target)
    write_datalist(Datalist("truth", "Apache-2.0", values, [*target, *tested]), lists.truth)
    return lists


def _scans(folder: Path, seed: int, sequences: list[Sequence], split: str) -> list[Scan]:
    scans = []
    for sequence, made in make_study(sequences, seed, in_plane_mm=2.5).items():
        name = f"p{seed}_{sequence.value}"
        image, labels = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
        write_volume(made.volume, image)
        write_volume(made.labelmap, labels)
        scans.append(Scan(f"p{seed}", sequence.value, image, labels, split=split))
    return scans


def train(work: Path, name: str, lists: tuple[Path, ...], steps: int, fold: int, seed: int) -> Path:
    """Train a network from random weights, unless that was done; its package."""
    run = work / f"steps_{steps}" / name.replace(" ", "_")
    data = DataConfig(
        datalists=lists,
        organs=_ORGANS,
        fold=FoldConfig(fold, 4),
        cache=work / "cache",
        spacing=(5.0, 5.0, 5.0),
        normalisation="percentile-z-score",
        patch=(24, 32, 40),
        workers=0,
    )
    loop = LoopConfig(
        steps=steps, learning_rate=1e-3, gradient_clip=12.0, log_every=100, validate_every=steps, seed=seed
    )
    if not (run / "model").exists():
        run_finetune(
            FinetuneConfig(
                run_folder=run,
                data=data,
                network="stunet",
                widths=(8, 16, 32, 64, 64, 64),
                strides=((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
                loop=loop,
                branch="last",
            )
        )
    return run / "model"


def tested(model: Path, lists: Lists) -> list[dict[str, Any]]:
    """Scores of the test patients by a package."""
    path = model.parent / SCORES
    if not path.exists():
        path.write_text(json.dumps(test(model, read_datalist(lists.truth).pool(split="test"), _TRUTH), indent=1))
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def judged(labels: Path, lists: Lists) -> list[dict[str, Any]]:
    """Scores of pseudo labels against the truth of their cases."""
    truth = {(scan.patient, scan.sequence): scan for scan in read_datalist(lists.truth).scans}
    scores = []
    for scan in read_datalist(labels).scans:
        reference = truth[scan.patient, scan.sequence].labels
        if scan.labels is not None and reference is not None:
            pair = read_labelmap(scan.labels), read_labelmap(reference)
            scores += [{"sequence": scan.sequence, "dsc": s.dsc} for s in evaluate_case(*pair, _STUDENT, _TRUTH)]
    return scores


def row(name: str, scores: Collection[Mapping[str, Any]]) -> list[str]:
    """Mean Dice x 100 of each sequence, of the better and the worse ones."""
    groups = [(s.value,) for s in LLD_MMRI_SEQUENCES] + [_BETTER, _WORSE]
    cells = []
    for group in groups:
        dice = [100 * s["dsc"] for s in scores if s["sequence"] in group]
        cells.append(f"{np.mean(dice):.1f}" if dice else "-")
    return [name, *cells]


def main() -> None:
    """Run what is not done yet and print the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/phantom_matching"))
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    work, steps = arguments.work.absolute(), arguments.steps
    lists = make_data(work / "data")
    folds = [train(work, f"fold {n}", (lists.source,), steps, n, n) for n in (0, 1)]
    output, matched = work / f"steps_{steps}" / "labels", work / f"steps_{steps}" / "matched"
    names = tuple(str(model) for model in folds)
    pseudo_label.run(PseudoLabelConfig(names, (lists.target,), keep=_EACH, output=output, device="cpu"))
    match_domains.run(MatchDomainsConfig(output / "datalist.json", _BETTER, _WORSE, matched))
    plain = train(work, "retrained", (lists.source, output / "datalist.json"), steps, -1, 2)
    better = train(work, "retrained matched", (lists.source, matched / "datalist.json"), steps, -1, 2)
    rows = [
        row("pseudo labels by the folds", judged(output / "datalist.json", lists)),
        row("pseudo labels after matching", judged(matched / "datalist.json", lists)),
        row("network before", tested(folds[0], lists)),
        row("retrained on the pseudo labels", tested(plain, lists)),
        row("retrained on the matched labels", tested(better, lists)),
    ]
    print(markdown_table(["row", *(s.value for s in LLD_MMRI_SEQUENCES), "better four", "worse four"], rows))


if __name__ == "__main__":
    main()
