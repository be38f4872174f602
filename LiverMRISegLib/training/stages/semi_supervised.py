"""The stages that learn from unlabelled volumes as well: cross pseudo supervision, mean teacher, BCP, MiDSS."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from LiverMRISegLib.data.datalist import read_datalist
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.bidirectional_copy_paste import BidirectionalCopyPaste, CopyPasteConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig, CrossPseudoSupervision
from LiverMRISegLib.training.methods.intermediate_domains import IntermediateDomains, IntermediateDomainsConfig
from LiverMRISegLib.training.methods.mean_teacher import MeanTeacher, MeanTeacherConfig
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.stage import run_stage

# Far from any seed that a person gives: the second network's.
_SECOND_SEED = 7_919
StudentOrTeacher = Literal["student", "teacher", "mean"]


def _loop(steps: int) -> LoopConfig:
    return LoopConfig(steps=steps, learning_rate=1e-4, gradient_clip=12.0)


@dataclass(frozen=True)
class CrossPseudoStageConfig(StageConfig):
    """Config of `scripts/train/cross_pseudo_supervision.py`.

    The paper: batches of 4 (2 labelled, 2 unlabelled here), at most 36 epochs, Adam; its learning rate is not given,
    1e-4 is ours. Branches: "first", "second", and "mean", the package of both. With `keep_heads` the first network
    keeps the start's heads and the second has new ones: two that begin alike would stay alike.
    """

    cps: CrossPseudoConfig = field(default_factory=CrossPseudoConfig)
    """The settings of cross pseudo supervision."""
    loop: LoopConfig = field(default_factory=lambda: _loop(9_000))
    """How long, how fast, how often."""
    branch: Annotated[Literal["first", "second", "mean"], OF_PACKAGE] = "mean"
    """Which of the method's networks is validated and exported."""


@dataclass(frozen=True)
class CopyPasteStageConfig(StageConfig):
    """Config of `scripts/train/bidirectional_copy_paste.py`; 2,000 + 15,000 steps as the authors. Adam at 1e-4 is ours.

    Branches: "student" and "teacher".
    """

    copy_paste: CopyPasteConfig = field(default_factory=CopyPasteConfig)
    """The settings of bidirectional copy-paste."""
    loop: LoopConfig = field(default_factory=lambda: _loop(17_000))
    """How long, how fast, how often."""
    branch: Annotated[StudentOrTeacher, OF_PACKAGE] = "student"
    """Which of the method's networks is validated and exported."""


@dataclass(frozen=True)
class MeanTeacherStageConfig(StageConfig):
    """Config of `scripts/train/mean_teacher.py`; SGD 0.01 as in paper 002. Branches: "student" and "teacher"."""

    teacher: MeanTeacherConfig = field(default_factory=MeanTeacherConfig)
    """The settings of the mean teacher."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9))
    """The optimizer."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=15_000, learning_rate=1e-2, gradient_clip=12.0))
    """How long, how fast, how often."""
    branch: Annotated[StudentOrTeacher, OF_PACKAGE] = "student"
    """Which of the method's networks is validated and exported."""


@dataclass(frozen=True)
class IntermediateDomainsStageConfig(StageConfig):
    """Config of `scripts/train/intermediate_domains.py`; Adam at 1e-4 is ours. Branches: "student" and "teacher"."""

    domains: IntermediateDomainsConfig = field(default_factory=IntermediateDomainsConfig)
    """The settings of MiDSS."""
    loop: LoopConfig = field(default_factory=lambda: _loop(30_000))
    """How long, how fast, how often."""
    branch: Annotated[StudentOrTeacher, OF_PACKAGE] = "student"
    """Which of the method's networks is validated and exported."""


def run_cross_pseudo_supervision(config: CrossPseudoStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    if config.cps.preset == "ssl4mis":
        _refuse_unknown(config, "the loss of preset ssl4mis")
    seed, other = config.loop.seed, replace(config, keep_heads=False)

    def _make(setup: Setup) -> CrossPseudoSupervision:
        first = config.new_network(seed, deep_supervision=True)
        second = other.new_network(seed + _SECOND_SEED, deep_supervision=True)
        return CrossPseudoSupervision(first, second, config.cps, setup)

    return run_stage(config, _make, unlabelled=True)


def run_mean_teacher(config: MeanTeacherStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    seed, teacher = config.loop.seed, config.teacher
    return run_stage(
        config,
        lambda setup: MeanTeacher(config.new_network(seed, deep_supervision=True), teacher, setup),
        unlabelled=True,
    )


def run_bidirectional_copy_paste(config: CopyPasteStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    _refuse_unknown(config)
    seed, pasting = config.loop.seed, config.copy_paste
    return run_stage(
        config,
        lambda setup: BidirectionalCopyPaste(config.new_network(seed, deep_supervision=False), pasting, setup),
        unlabelled=True,
    )


def run_intermediate_domains(config: IntermediateDomainsStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    _refuse_unknown(config)
    seed, domains = config.loop.seed, config.domains
    return run_stage(
        config,
        lambda setup: IntermediateDomains(config.new_network(seed, deep_supervision=False), domains, setup),
        unlabelled=True,
    )


def _refuse_unknown(config: StageConfig, what: str = "pasted patches") -> None:
    """Some methods have no way to leave out voxels without truth."""
    if config.data.synthetic.batch:
        raise UsageError(
            f"synthetic images have voxels without truth, which {what} cannot use; set data.synthetic.batch to 0"
        )
    for path in config.data.datalists:
        if read_datalist(path).ignore:
            raise UsageError(
                f"{path}: has voxels to ignore, which {what} cannot use; train by mean_teacher.py or by "
                "cross_pseudo_supervision.py with another preset than ssl4mis"
            )
