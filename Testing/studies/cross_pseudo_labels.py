"""Why cross pseudo supervision may lose to its labels alone: cross_pseudo_labels.py [--data DIR] [--rows NAME ...].

2 labelled and 10 unlabelled heart MR of 80, 16 others tested; a small network on a coarse grid, so that a row takes
minutes of one core. Rows of one seed share labelled cases, batches and first weights; the seeds have different labelled
cases. A row that is done is kept, so a killed study goes on; several processes may share the rows.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from cross_pseudo_arms import ARMS, BY_LABELS, Arm, Studied
from LiverMRISegLib.data.augmentation import AugmentationConfig, Augmenter
from LiverMRISegLib.data.batches import Batch, CaseStream, StepBatches
from LiverMRISegLib.data.case_cache import PreparedCase, PreparedCases
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.schedules import polynomial
from LiverMRISegLib.training.stages.data_config import DataConfig
from LiverMRISegLib.training.validation import NetworkEngine, Validation

logger = logging.getLogger(__name__)
SCORES, DIAGNOSIS = "scores.json", "diagnosis.jsonl"
_STEPS = 800
_PATCH, _SPACING = (12, 16, 16), 4.0
_NETWORK = {"features": [8, 16, 32], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "blocks": [1, 1, 1]}
_SECOND_SEED = 7_919
_LABELLED = (("la_00", "la_01"), ("la_02", "la_03"), ("la_04", "la_05"), ("la_06", "la_07"))
_TESTED = tuple(f"la_{n}" for n in range(60, 76))


@dataclass(frozen=True)
class Cases:
    """Of one seed."""

    labelled: Sequence[PreparedCase]
    unlabelled: Sequence[PreparedCase]
    tested: Sequence[PreparedCase]


def cases(data: Path, work: Path, seed: int) -> Cases:
    """Prepared; the labels of the unlabelled are read for the notes alone."""
    labelled = _LABELLED[seed]
    others = [f"la_{n:02d}" for n in range(20) if f"la_{n:02d}" not in labelled][:10]
    folder = data.absolute() / "mr_left_atrium"
    scans = {
        name: Scan(name, "T1WI", folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz", split="train")
        for name in [*labelled, *others, *_TESTED]
    }
    listed = Datalist("left atrium", "challenge terms, research use", {1: "left atrium"}, list(scans.values()))
    config = DataConfig(spacing=(_SPACING,) * 3, orientation="", patch=_PATCH, organs=("left atrium",))
    cache = PreparedCases(work / "cache", config.preparation, config.organs)
    pools = ([(listed, scans[name]) for name in names] for names in (labelled, others, _TESTED))
    return Cases(*(cache.load_all(pool, labelled=True) for pool in pools))


def batches(found: Cases, seed: int) -> list[Batch]:
    """Of all steps, which all rows share: 2 labelled and 2 unlabelled patches, the unlabelled ones cut anywhere."""
    augmenter = Augmenter(AugmentationConfig(), _PATCH)
    streams = {
        "labelled": CaseStream(found.labelled, augmenter, 2),
        "unlabelled": CaseStream(found.unlabelled, augmenter, 2, foreground=0.0),
    }
    drawn = StepBatches(streams, _STEPS, seed)
    return [drawn[step] for step in range(_STEPS)]


def run(arm: Arm, drawn: Sequence[Batch], tested: Sequence[PreparedCase], seed: int, folder: Path) -> None:
    """Train and test a row."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DIAGNOSIS).unlink(missing_ok=True)
    fabric = Fabric(accelerator="cpu")
    setup = Setup(OptimizerConfig(), Validation([], ["left atrium"], InferenceSpec(_PATCH)), fabric, "mean", _STEPS)
    method = Studied(_network(seed), _network(seed + _SECOND_SEED), arm, setup, folder / DIAGNOSIS)
    for step in range(_STEPS):
        for group in method.optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 100) * polynomial(step, _STEPS)
        method.optimizer.zero_grad()
        method.losses(drawn[step], step)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(method.module.parameters(), 12.0)
        method.optimizer.step()
    scores = [_scored(list(method.branches.values()), case, fabric) for case in tested]
    atomic_write_text(folder / SCORES, json.dumps(scores, indent=1))


def _network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network("plain-unet", deep_supervision=True, in_channels=1, out_channels=2, **_NETWORK)


def _scored(networks: Sequence[torch.nn.Module], case: PreparedCase, fabric: Fabric) -> dict[str, float]:
    """Dice of the first network, the second, and the mean of both."""
    spec = InferenceSpec(_PATCH)
    first, second = (
        predict_logits(
            np.asarray(case.image), NetworkEngine(one.eval(), fabric), 2, spec, progress=silent, cancel=CancelToken()
        )
        for one in networks
    )
    truth = np.asarray(case.labels) == 1
    found = {"first": first, "second": second, "mean": first + second}
    return {name: dice(np.argmax(logits, 0) == 1, truth) for name, logits in found.items()}


def table(folder: Path, seeds: Sequence[int]) -> str:
    """Dice x 100 of a row's pair and of its single networks, the gains over labels alone, how alike the networks are.

    Gains are paired over cases and seeds; their error (SE) is that of the mean over the test cases of all seeds.
    """
    base = _read(folder, BY_LABELS, seeds)
    lines = []
    for name in ARMS:
        found = _read(folder, name, seeds)
        both = sorted(found.keys() & base.keys())
        if not both:
            continue
        pair, single = (np.array([_dice(found[key], kind) for key in both]) for kind in ("mean", "single"))
        gain, of_one = (
            now - np.array([_dice(base[key], kind) for key in both])
            for now, kind in ((pair, "mean"), (single, "single"))
        )
        by_seed = [gain[[key[0] == seed for key in both]] for seed in seeds]
        lines.append([
            name, str(len(both)), f"{pair.mean():.1f} ({pair.std():.1f})", f"{pair.min():.1f}", _with_error(gain),
            ", ".join(f"{part.mean():+.1f}" for part in by_seed if len(part)), f"{single.mean():.1f}",
            _with_error(of_one), f"{_agreement(folder, name, seeds):.2f}",
        ])  # fmt: skip
    header = ["row", "cases", "pair (SD)", "lowest", "gain (SE)", "by seed", "one network", "gain (SE)", "agreement"]
    return markdown_table(header, lines)


def _dice(score: Mapping[str, float], kind: str) -> float:
    return 100 * (score["mean"] if kind == "mean" else (score["first"] + score["second"]) / 2)


def _with_error(gain: np.ndarray) -> str:
    return f"{gain.mean():+.1f} ({gain.std(ddof=1) / np.sqrt(len(gain)):.1f})"


def _agreement(folder: Path, name: str, seeds: Sequence[int]) -> float:
    """Dice between the networks' labels of unlabelled patches, over the last 300 steps."""
    paths = [run_folder(folder, name, seed) / DIAGNOSIS for seed in seeds]
    lines = [line for path in paths if path.exists() for line in path.read_text().splitlines()[-3:]]
    return float(np.mean([json.loads(line)["agreement"] for line in lines]))


def _read(folder: Path, name: str, seeds: Sequence[int]) -> dict[tuple[int, str], dict[str, float]]:
    """The scores by seed and case."""
    found: dict[tuple[int, str], dict[str, float]] = {}
    for seed in seeds:
        path = run_folder(folder, name, seed) / SCORES
        if path.exists():
            found |= {(seed, case): score for case, score in zip(_TESTED, json.loads(path.read_text()), strict=True)}
    return found


def run_folder(folder: Path, name: str, seed: int) -> Path:
    """Where a row keeps its scores."""
    return folder / f"{name.replace(' ', '_').replace(',', '')}_seed_{seed}"


def main() -> None:
    """Run the rows asked for with every seed, and show the table of all that are done."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/cross_pseudo_labels"))
    parser.add_argument("--rows", nargs="*", default=list(ARMS), choices=list(ARMS), help="names of the rows (all)")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1], choices=range(len(_LABELLED)))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        folders = {name: run_folder(arguments.work, name, seed) for name in arguments.rows}
        remaining = {name: folder for name, folder in folders.items() if not (folder / SCORES).exists()}
        if not remaining:
            continue
        found = cases(arguments.data, arguments.work, seed)
        drawn = batches(found, seed)
        for name, folder in remaining.items():
            logger.info("row %s, seed %d", name, seed)
            run(ARMS[name], drawn, found.tested, seed, folder)
    print(table(arguments.work, arguments.seeds))


if __name__ == "__main__":
    main()
