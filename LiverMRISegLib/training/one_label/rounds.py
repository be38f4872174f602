"""SemiSAM-O1 (paper 002) from end to end: first labels from one template, then rounds of training and refinement."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from LiverMRISegLib.data.pools import PoolConfig
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.features import LEVELS, FeatureEncoder
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.models.catalog import DEFAULT_MODEL
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.configuration import check_same_run, write_config
from LiverMRISegLib.training.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.mean_teacher import MeanTeacherConfig
from LiverMRISegLib.training.one_label import first_labels
from LiverMRISegLib.training.one_label.development import write_development
from LiverMRISegLib.training.one_label.first_labels import WHOLE, FirstLabelsConfig
from LiverMRISegLib.training.one_label.refine import RefineConfig, refine
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.packaging import copy_package
from LiverMRISegLib.training.semi_supervised import (
    CrossPseudoStageConfig,
    MeanTeacherStageConfig,
    run_cross_pseudo_supervision,
    run_mean_teacher,
)
from LiverMRISegLib.training.stage import StageConfig

logger = logging.getLogger(__name__)
ROUNDS = "rounds.json"
_FREE_KEYS = ("run_folder", "rounds", "tolerance", "name", "version", "data.workers", "data.cache")


@dataclass(frozen=True)
class OneLabelConfig(StageConfig):
    """Config of `scripts/train/one_label.py`.

    `template`: the one patient whose labels are read; `data.unlabelled` chooses who takes part. `encoder`, `levels`,
    `smooth` and `calibrate` as of `FirstLabelsConfig`. `specialist`: "mean teacher", "uncertainty-aware mean teacher"
    or "cross pseudo supervision". `rounds`: at most; fewer if less than `tolerance` of the labels' foreground changed
    in one. The paper keeps each round's best weights by a validation split; with one label there is none, so the last
    count (ours).
    """

    template: str = ""
    encoder: str = DEFAULT_MODEL
    levels: tuple[int, ...] = LEVELS
    smooth: bool = True
    calibrate: bool = True
    specialist: str = "mean teacher"
    rounds: int = 3
    tolerance: float = 0.01
    refinement: RefineConfig = field(default_factory=RefineConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9))
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=15_000, learning_rate=1e-2, gradient_clip=12.0))
    branch: str = ""

    def __post_init__(self) -> None:
        if self.specialist not in SPECIALISTS:
            raise UsageError(f"unknown specialist '{self.specialist}'; known are: {', '.join(SPECIALISTS)}")
        if self.rounds < 1:
            raise UsageError(f"rounds must be at least 1, not {self.rounds}")


@dataclass(frozen=True)
class Round:
    """A finished round: the share of the labels' foreground that it changed."""

    number: int
    changed: float


def run(config: OneLabelConfig, encoder: FeatureEncoder | None = None) -> list[Round]:
    """Train, or go on with, the rounds in `config.run_folder`; its last network is the package `run_folder`/model.

    Every folder round_N holds the training and the labels that come out of it, with cases.csv and cases.png;
    round_0 those of the template's prototypes. How the labels developed: development.png, development.csv and
    TensorBoard. Of several processes the first one labels, all train. Errors as `first_labels.run`, `run_stage` and
    `refine`.
    """
    folder = config.run_folder
    check_same_run(config, folder / "config.yaml", _FREE_KEYS)
    fabric = loop.make_fabric(config.loop)
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        write_config(config, folder / "config.yaml")
        first_labels.run(_first(config, str(fabric.device)), encoder)
    fabric.barrier()
    while (number := _next_round(config)) is not None:
        before = _labels(folder, number - 1) / "datalist.json"
        _train(config, before, folder / f"round_{number}" / "training")
        if fabric.is_global_zero:
            _label(config, number)
        fabric.barrier()
    done = _finished(folder)
    if fabric.is_global_zero:
        copy_package(folder / f"round_{done[-1].number}" / "training" / "model", folder / "model")
    return done


def _next_round(config: OneLabelConfig) -> int | None:
    """The number of the round to do, None when all are done or the labels have settled."""
    done = _finished(config.run_folder)
    if done and done[-1].changed < config.tolerance:
        logger.info("the labels have settled after round %d", done[-1].number)
        return None
    return len(done) + 1 if len(done) < config.rounds else None


def _label(config: OneLabelConfig, number: int) -> None:
    """What comes out of a round's training: labels, and the account of them."""
    folder = config.run_folder
    with np.load(_labels(folder, 0) / WHOLE) as stored:
        whole = dict(stored)
    model, output = folder / f"round_{number}" / "training" / "model", _labels(folder, number)
    before = _labels(folder, number - 1) / "datalist.json"
    changed = refine(model, before, config.template, whole, config.refinement, output)
    logger.info("round %d changed %.1f %% of the labels", number, 100 * changed)
    done = [*_finished(folder), Round(number, changed)]
    write_development(folder, [_labels(folder, n) for n in range(number + 1)])
    atomic_write_text(folder / ROUNDS, json.dumps([vars(each) for each in done], indent=1))


def _first(config: OneLabelConfig, device: str) -> FirstLabelsConfig:
    return FirstLabelsConfig(
        datalists=config.data.datalists,
        pool=config.data.unlabelled,
        template=config.template,
        organs=config.data.organs,
        encoder=config.encoder,
        levels=config.levels,
        smooth=config.smooth,
        calibrate=config.calibrate,
        device=device,
        cache=config.data.cache,
        output=_labels(config.run_folder, 0),
    )


def _labels(folder: Path, number: int) -> Path:
    return folder / f"round_{number}" / "labels"


def _train(config: OneLabelConfig, labels: Path, run_folder: Path) -> None:
    """A network from scratch on the template and on the pseudo labels of the round before."""
    data = replace(
        config.data,
        datalists=(labels,),
        labelled=PoolConfig(patients=(config.template,)),
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


def _cross_pseudo(shared: dict[str, Any]) -> None:
    shared["branch"] = shared["branch"] or "first"
    run_cross_pseudo_supervision(CrossPseudoStageConfig(**shared, cps=CrossPseudoConfig("dice")))


SPECIALISTS: Mapping[str, Callable[[dict[str, Any]], None]] = MappingProxyType({
    "mean teacher": _mean_teacher,
    "uncertainty-aware mean teacher": lambda shared: _mean_teacher(shared, passes=8),
    "cross pseudo supervision": _cross_pseudo,
})  # fmt: skip


def _finished(folder: Path) -> list[Round]:
    path = folder / ROUNDS
    return [Round(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
