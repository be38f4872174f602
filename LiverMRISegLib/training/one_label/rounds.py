"""SemiSAM-O1 (paper 002) from end to end: first labels from one template, then rounds of training and refinement."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.data.pools import PoolConfig
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.features import FeatureEncoder
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.models.catalog import DEFAULT_MODEL
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.configuration import check_same_run, write_config
from LiverMRISegLib.training.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.mean_teacher import MeanTeacherConfig
from LiverMRISegLib.training.one_label import first_labels
from LiverMRISegLib.training.one_label.first_labels import WHOLE, FirstLabelsConfig
from LiverMRISegLib.training.one_label.refine import RefineConfig, refine
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.semi_supervised import (
    CrossPseudoStageConfig,
    MeanTeacherStageConfig,
    run_cross_pseudo_supervision,
    run_mean_teacher,
)
from LiverMRISegLib.training.stage import StageConfig

logger = logging.getLogger(__name__)
_FREE_KEYS = ("run_folder", "rounds", "tolerance", "name", "version", "data.workers", "data.cache")


@dataclass(frozen=True)
class OneLabelConfig(StageConfig):
    """Config of `scripts/train/one_label.py`.

    `template`: the one patient whose labels are read; `data.unlabelled` chooses who takes part. `encoder`, `level` and
    `smooth` as of `FirstLabelsConfig`. `specialist`: "mean teacher", "uncertainty-aware mean teacher" or "cross pseudo
    supervision". `rounds`: at most; fewer if less than `tolerance` of the labels' foreground changed in one. The paper
    keeps each round's best weights by a validation split; with one label there is none, so the last count (ours).
    """

    template: str = ""
    encoder: str = DEFAULT_MODEL
    level: int = 3
    smooth: bool = True
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
    round_0 those of the template's prototypes. Errors as `first_labels.run`, `run_stage` and `refine`.
    """
    folder = config.run_folder
    check_same_run(config, folder / "config.yaml", _FREE_KEYS)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, folder / "config.yaml")
    first_labels.run(_first(config), encoder)
    with np.load(_labels(folder, 0) / WHOLE) as stored:
        whole = dict(stored)
    done = _finished(folder)
    for number in range(len(done) + 1, config.rounds + 1):
        if done and done[-1].changed < config.tolerance:
            logger.info("the labels have settled after round %d", done[-1].number)
            break
        trained = folder / f"round_{number}" / "training"
        before = _labels(folder, number - 1) / "datalist.json"
        _train(config, before, trained)
        output = _labels(folder, number)
        changed = refine(trained / "model", before, config.template, whole, config.refinement, output)
        done.append(Round(number, changed))
        logger.info("round %d changed %.1f %% of the labels", number, 100 * changed)
        _tell(folder, done)
    shutil.rmtree(folder / "model", ignore_errors=True)
    shutil.copytree(folder / f"round_{done[-1].number}" / "training" / "model", folder / "model")
    return done


def _first(config: OneLabelConfig) -> FirstLabelsConfig:
    return FirstLabelsConfig(
        datalists=config.data.datalists,
        pool=config.data.unlabelled,
        template=config.template,
        organs=config.data.organs,
        encoder=config.encoder,
        level=config.level,
        smooth=config.smooth,
        device=str(loop.make_fabric(config.loop).device),
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
    run_mean_teacher(MeanTeacherStageConfig(**shared, teacher=MeanTeacherConfig(passes=passes)))


def _cross_pseudo(shared: dict[str, Any]) -> None:
    shared["branch"] = shared["branch"] or "first"
    run_cross_pseudo_supervision(CrossPseudoStageConfig(**shared, cps=CrossPseudoConfig("dice")))


SPECIALISTS: Mapping[str, Callable[[dict[str, Any]], None]] = MappingProxyType({
    "mean teacher": _mean_teacher,
    "uncertainty-aware mean teacher": lambda shared: _mean_teacher(shared, passes=8),
    "cross pseudo supervision": _cross_pseudo,
})  # fmt: skip


def _finished(folder: Path) -> list[Round]:
    path = folder / "rounds.json"
    return [Round(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _tell(folder: Path, done: list[Round]) -> None:
    """rounds.json, from which a stopped run goes on, and the curve in TensorBoard."""
    atomic_write_text(folder / "rounds.json", json.dumps([vars(each) for each in done], indent=1))
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        writer.add_scalar("rounds/changed", done[-1].changed, done[-1].number)
