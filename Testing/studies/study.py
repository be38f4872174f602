"""Studies of training methods: rows that share data, network and steps; each trains, is tested, keeps its scores."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.evaluation.metrics import evaluate_case
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.training.methods.bidirectional_copy_paste import CopyPasteConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.methods.dual_task import DualTaskConfig
from LiverMRISegLib.training.methods.mean_teacher import MeanTeacherConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig, run_bidirectional_copy_paste
from LiverMRISegLib.training.stages.config import StageConfig
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig, run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.dual_task import DualTaskStageConfig, run_dual_task
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from LiverMRISegLib.training.stages.intermediate_domains import IntermediateDomainsStageConfig, run_intermediate_domains
from LiverMRISegLib.training.stages.mean_teacher import MeanTeacherStageConfig, run_mean_teacher
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
SCORES = "scores.json"


def parser_of(description: str | None, work: str, steps: int) -> argparse.ArgumentParser:
    """The command line that the studies share, with logging turned on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path(work))
    parser.add_argument("--rows", nargs="*", default=[], help="names of the rows to run (all)")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=0)
    return parser


@dataclass(frozen=True)
class Row:
    """One line of a study's table: what trains, and with which config; or a `model` that is tested as it is."""

    name: str
    run: Callable[[Any], Any]
    config: StageConfig
    model: str = ""


def untrained(name: str, common: Mapping[str, Any], model: str) -> Row:
    """A model as it is, for comparison."""
    return Row(name, lambda config: None, FinetuneConfig(**common), model)


def supervised(name: str, common: Mapping[str, Any], **changes: Any) -> Row:
    """Labelled volumes alone."""
    return Row(name, run_finetune, FinetuneConfig(**{**common, **changes, "branch": "last"}))


def cross_pseudo(name: str, common: Mapping[str, Any], cps: CrossPseudoConfig, **changes: Any) -> Row:
    """Cross pseudo supervision; one of the two networks is tested, so that no row is an ensemble."""
    settings = {"branch": "first", **common, **changes, "cps": cps}
    return Row(name, run_cross_pseudo_supervision, CrossPseudoStageConfig(**settings))


def mean_teacher(name: str, common: Mapping[str, Any], passes: int = 0) -> Row:
    """The mean teacher, or with `passes` the uncertainty-aware one; the ramp of the consistency ends with the steps."""
    teacher = MeanTeacherConfig(ramp_steps=common["loop"].steps, passes=passes)
    settings = {"optimizer": OptimizerConfig(), **common, "teacher": teacher}
    return Row(name, run_mean_teacher, MeanTeacherStageConfig(**settings))


def dual_task(name: str, common: Mapping[str, Any]) -> Row:
    """Dual-task consistency, by the optimizer of the other rows; its ramp ends with the steps."""
    settings = {"optimizer": OptimizerConfig(), **common, "dual_task": DualTaskConfig(ramp_steps=common["loop"].steps)}
    return Row(name, run_dual_task, DualTaskStageConfig(**settings))


def copy_paste(name: str, common: Mapping[str, Any], settings: CopyPasteConfig, **changes: Any) -> Row:
    """BCP, by the optimizer of the other rows."""
    shared = {"optimizer": OptimizerConfig(), **common, **changes}
    config = CopyPasteStageConfig(**{**shared, "copy_paste": settings, "branch": "student"})
    return Row(name, run_bidirectional_copy_paste, config)


def intermediate_domains(name: str, common: Mapping[str, Any], **changes: Any) -> Row:
    """MiDSS, by the optimizer of the other rows."""
    config = IntermediateDomainsStageConfig(
        **{"optimizer": OptimizerConfig(), **common, **changes, "branch": "student"}
    )
    return Row(name, run_intermediate_domains, config)


def run_folder_of(name: str, folder: Path) -> Path:
    """Where the row of this name trains and keeps its scores."""
    return folder / name.replace(" ", "_").replace(",", "")


def run_row(row: Row, folder: Path, tests: Sequence[Scan], labels: LabelSet) -> None:
    """Train and test a row, unless its scores are there already."""
    run = run_folder_of(row.name, folder)
    if (run / SCORES).exists():
        return
    logger.info("row %s", row.name)
    row.run(replace(row.config, run_folder=run))
    run.mkdir(parents=True, exist_ok=True)
    scores = test(row.model or run / "model", tests, kept_labels(labels, row.config.data.organs))
    atomic_write_text(run / SCORES, json.dumps(scores, indent=1))


def kept_labels(labels: LabelSet, organs: Sequence[str]) -> LabelSet:
    """Only these organs of `labels`."""
    wanted = [organ_named(organ) for organ in organs]
    return LabelSet(labels.name, {value: organ for value, organ in labels.items() if organ in wanted})


def test(model: Path | str, tests: Sequence[Scan], labels: LabelSet) -> list[dict[str, Any]]:
    """Dice and NSD (0 to 1), HD95 (mm) of every test scan and organ by the exported package on the scan's own grid."""
    segmenter = Segmenter.load(model, "cpu")
    scores = []
    for scan in tests:
        volume = read_volume(scan.image)
        result = segmenter.segment(volume)
        prediction = Volume(result.labelmap, result.geometry, scan.patient)
        reference = read_labelmap(scan.labels) if scan.labels else prediction
        for organ in evaluate_case(prediction, reference, result.labels, labels):
            facts = {"patient": scan.patient, "sequence": scan.sequence, "vendor": scan.vendor, "organ": organ.organ}
            scores.append({**facts, "dsc": organ.dsc, "nsd": organ.nsd, "hd95": organ.hd95})
    return scores


def table(rows: Sequence[Row], folder: Path, group: Callable[[dict[str, Any]], str] | None = None) -> str:
    """Mean and SD over cases per row (and group), Dice x 100 and HD95 in mm; rows without scores are left out.

    HD95 of a case without prediction is infinite: such cases are counted, not averaged.
    """
    lines = []
    for row in rows:
        path = run_folder_of(row.name, folder) / SCORES
        if not path.exists():
            continue
        scores = json.loads(path.read_text())
        for name in sorted({group(s) for s in scores}) if group else [""]:
            chosen = [s for s in scores if group is None or group(s) == name]
            dice = 100 * np.array([s["dsc"] for s in chosen])
            distance = np.array([s["hd95"] for s in chosen])
            empty = int(np.isinf(distance).sum())
            distance = distance[np.isfinite(distance)]
            hd95 = f"{distance.mean():.1f} ({distance.std():.1f})" if len(distance) else "-"
            mean = f"{dice.mean():.2f} ({dice.std():.2f})"
            lines.append([row.name, name, str(len(chosen)), mean, f"{dice.min():.1f}", hd95, str(empty)])
    header = ["row", "group", "cases", "Dice (SD)", "lowest", "HD95 mm (SD)", "empty"]
    return markdown_table(header, lines)


def check_rows(wanted: Sequence[str], known: Sequence[str]) -> None:
    """SystemExit if a wanted row does not exist: it would be left out in silence."""
    if unknown := sorted(set(wanted) - set(known)):
        raise SystemExit(f"unknown rows: {'; '.join(unknown)}. Known: {'; '.join(known)}")


def main_of(
    rows: Sequence[Row],
    wanted: Sequence[str],
    folder: Path,
    tests: Sequence[Scan],
    labels: LabelSet,
    group: Callable[[dict[str, Any]], str] | None = None,
) -> Path:
    """Run the wanted rows (all if none is named), print the table of those done; the best trained row's folder."""
    check_rows(wanted, [row.name for row in rows])
    for row in rows:
        if not wanted or row.name in wanted:
            run_row(row, folder, tests, labels)
    print(table(rows, folder, group))
    trained = [run_folder_of(row.name, folder) for row in rows if not row.model]
    done = [run for run in trained if (run / SCORES).exists()]
    return max(done, key=lambda run: np.mean([s["dsc"] for s in json.loads((run / SCORES).read_text())]))
