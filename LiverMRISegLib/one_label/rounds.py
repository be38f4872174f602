"""The second stage of SemiSAM-O1 (paper 002): rounds of training on one template and pseudo labels, and refinement."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from lightning_fabric import Fabric

from LiverMRISegLib.anatomy import organ_named
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.datalist import read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.one_label.development import write_development
from LiverMRISegLib.one_label.first_labels import WHOLE
from LiverMRISegLib.one_label.refine import RefineConfig, refine
from LiverMRISegLib.pseudo_labels.output_folder import INPUTS
from LiverMRISegLib.pseudo_labels.outputs import labelmap_of
from LiverMRISegLib.training.configuration import MayChange
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.methods.dual_task import DualTaskConfig
from LiverMRISegLib.training.methods.mean_teacher import MeanTeacherConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.packaging import copy_package
from LiverMRISegLib.training.run_folder import check_inputs, claimed_run
from LiverMRISegLib.training.stages.config import StageConfig
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig, run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.dual_task import DualTaskStageConfig, run_dual_task
from LiverMRISegLib.training.stages.mean_teacher import MeanTeacherStageConfig, run_mean_teacher

logger = logging.getLogger(__name__)
ROUNDS = "rounds.json"
_FIRST = "first_labels.txt"

Specialist = Literal[
    "mean teacher", "uncertainty-aware mean teacher", "dual-task consistency", "cross pseudo supervision"
]


@dataclass(frozen=True)
class OneLabelConfig(StageConfig):
    """Config of `scripts/train/one_label.py`.

    `data.datalists` is the one that `first_labels.py` wrote, beside its features.npz; its first scan is the template.
    The paper keeps each round's best weights by a validation split; with one label there is none, so the last count
    (ours).
    """

    specialist: Specialist = "mean teacher"
    """Which method is trained in each round."""
    rounds: Annotated[int, Limits(1, 1000), MayChange.ALWAYS] = 3
    """How many rounds, at most."""
    tolerance: Annotated[float, Limits(0, 1), MayChange.ALWAYS] = 0.01
    """The rounds end early when one changed less than this share of the labels' foreground."""
    refinement: RefineConfig = field(default_factory=RefineConfig)
    """How uncertain labels are mended between two rounds."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False))
    """The optimizer."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=15_000, learning_rate=1e-2, gradient_clip=12.0))
    """How long, how fast, how often, in each round."""
    branch: str = ""
    """Which of the specialist's networks is validated and exported; empty for its usual one."""


@dataclass(frozen=True)
class Round:
    """A finished round: the share of the labels' foreground that it changed."""

    number: int
    changed: float


def run(config: OneLabelConfig) -> list[Round]:
    """Train or resume the rounds in `config.run_folder`; its last network is the package `run_folder`/model.

    Every folder round_N holds the training and the labels that come out of it, with cases.csv and cases.png. How the
    labels developed: development.png, development.csv and TensorBoard. Of several processes the first one labels, all
    train.

    Raises:
        InputError, UsageError: no first labels, or others than the finished rounds had, or data that cannot be used;
            with `loop.preview`: memory or disk will not do.
        OutputError, TrainingError: as in `run_stage`.
    """
    folder, first = config.run_folder, _first_labels(config)
    _check_organs(config)
    if config.loop.preview:
        return _previewed(config)
    fabric = make_fabric(config.loop)
    is_begun, is_done = _folder_of(folder, 1).exists(), _next_round(config) is None
    with claimed_run(config, folder, fabric, is_begun=is_begun, is_done=is_done):
        check_inputs(
            folder / _FIRST,
            (first / INPUTS).read_text(encoding="utf-8"),
            fabric,
            is_begun=bool(_finished(folder)),
            other=f"{folder}: its rounds began with other first labels than there are now; choose another "
            f"--run-folder, or remove {ROUNDS} and the folders round_1, round_2, ... there",
        )
        if fabric.is_global_zero:
            _find_images_again(folder, first)
        fabric.barrier()
        return _run_rounds(config, first, fabric)


def _find_images_again(folder: Path, first: Path) -> None:
    """Where images were moved, the finished rounds' datalists are to name them as that of the first labels does now."""
    listed = read_datalist(first / "datalist.json")
    for number in range(1, len(_finished(folder)) + 1):
        labels = _labels(folder, number)
        try:
            read_datalist(labels / "datalist.json")
        except InputError as error:
            logger.warning("%s; this list is written again, with the images of the first labels", error)
            scans = [replace(scan, labels=labelmap_of(scan, labels)) for scan in listed.scans]
            write_datalist(replace(listed, scans=scans), labels / "datalist.json")


def _previewed(config: OneLabelConfig) -> list[Round]:
    """What a round costs: its training, and the labels of all volumes after it."""
    labels = config.data.datalists[0]
    count = config.loop.preview_cases or len(read_datalist(labels).scans)
    _train(
        replace(config, loop=replace(config.loop, preview_labels=count)),
        labels,
        config.run_folder / "preview" / "training",
    )
    return []


def _run_rounds(config: OneLabelConfig, first: Path, fabric: Fabric) -> list[Round]:
    folder = config.run_folder
    while (number := _next_round(config)) is not None:
        labels = [first, *(_labels(folder, n) for n in range(1, number + 1))]
        _train(config, labels[-2] / "datalist.json", _folder_of(folder, number) / "training")
        if fabric.is_global_zero:
            _label(config, number, labels, fabric.device.type)
        fabric.barrier()
    done = _finished(folder)
    if fabric.is_global_zero:
        copy_package(_folder_of(folder, done[-1].number) / "training" / "model", folder / "model")
    return done


def _first_labels(config: OneLabelConfig) -> Path:
    """The folder of the first labels."""
    folder = config.data.datalists[0].parent if config.data.datalists else Path()
    if len(config.data.datalists) != 1 or not all((folder / name).exists() for name in (WHOLE, INPUTS)):
        found = ", ".join(map(str, config.data.datalists)) or "none"
        raise UsageError(
            f"data.datalists must be the one that first_labels.py wrote, with {WHOLE} in the same folder, not {found}"
        )
    return folder


def _check_organs(config: OneLabelConfig) -> None:
    """UsageError unless the first labels are of the organs that are trained, with the values that these get."""
    listed = read_datalist(config.data.datalists[0])
    first = [organ_named(listed.values[value]).name for value in sorted(listed.values)]
    trained = [organ_named(organ).name for organ in config.data.organs]
    if first != trained:
        raise UsageError(
            f"the first labels are of {', '.join(first)}, data.organs are {', '.join(trained)}: give the same in the "
            "same order"
        )


def _next_round(config: OneLabelConfig) -> int | None:
    """The number of the round to do, None when all are done or the labels have settled."""
    done = _finished(config.run_folder)
    if done and done[-1].changed < config.tolerance:
        logger.info("the labels have settled after round %d", done[-1].number)
        return None
    return len(done) + 1 if len(done) < config.rounds else None


def _label(config: OneLabelConfig, number: int, labels: Sequence[Path], device: str) -> None:
    """What comes out of a round's training: labels in the last of `labels`, and the account of all of them.

    `device` computes them: the one that trained.
    """
    folder = config.run_folder
    with np.load(labels[0] / WHOLE) as stored:
        whole = dict(stored)
    model, before = _folder_of(folder, number) / "training" / "model", labels[-2] / "datalist.json"
    changed = refine(model, before, whole, config.refinement, labels[-1], device)
    logger.info("round %d changed %.1f %% of the labels", number, 100 * changed)
    write_development(folder, labels)
    done = [*_finished(folder), Round(number, changed)]
    atomic_write_text(folder / ROUNDS, json.dumps([vars(each) for each in done], indent=1))


def _folder_of(folder: Path, number: int) -> Path:
    return folder / f"round_{number}"


def _labels(folder: Path, number: int) -> Path:
    return _folder_of(folder, number) / "labels"


def _train(config: OneLabelConfig, labels: Path, run_folder: Path) -> None:
    """A network from scratch on the template and on the pseudo labels of the round before."""
    template = read_datalist(labels).scans[0]
    data = replace(
        config.data,
        datalists=(labels,),
        labelled=PoolConfig((template.sequence,), patients=(template.patient,), series=(template.series,)),
        unlabelled=PoolConfig(),
        pseudo_labels=True,
    )
    shared = {f.name: getattr(config, f.name) for f in fields(StageConfig)}
    SPECIALISTS[config.specialist](shared | {"data": data, "run_folder": run_folder})


def _mean_teacher(shared: dict[str, Any], passes: int = 0) -> None:
    shared["branch"] = shared["branch"] or "student"
    # The paper's ramp is twice as long as a round: the consistency only begins to count.
    teacher = MeanTeacherConfig(ramp_steps=2 * shared["loop"].steps, passes=passes)
    run_mean_teacher(MeanTeacherStageConfig(**shared, teacher=teacher))


def _dual_task(shared: dict[str, Any]) -> None:
    """With the weights of SemiSAM-O1's code, which has the masks' Dice loss, but not the distances' error."""
    shared["branch"] = shared["branch"] or "network"
    ramp = 2 * shared["loop"].steps
    settings = DualTaskConfig(supervised=0.5, distance=0.0, mask=1.0, weight=0.1, ramp_steps=ramp)
    run_dual_task(DualTaskStageConfig(**shared, dual_task=settings))


def _cross_pseudo(shared: dict[str, Any]) -> None:
    shared["branch"] = shared["branch"] or "first"
    run_cross_pseudo_supervision(CrossPseudoStageConfig(**shared, cps=CrossPseudoConfig("dice")))


SPECIALISTS: Mapping[Specialist, Callable[[dict[str, Any]], None]] = MappingProxyType({
    "mean teacher": _mean_teacher,
    "uncertainty-aware mean teacher": lambda shared: _mean_teacher(shared, passes=8),
    "dual-task consistency": _dual_task,
    "cross pseudo supervision": _cross_pseudo,
})  # fmt: skip


def _finished(folder: Path) -> list[Round]:
    path = folder / ROUNDS
    return [Round(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
