"""The stage of the mean teacher, also uncertainty-aware: an averaged copy of the network teaches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.mean_teacher import MeanTeacher, MeanTeacherConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.semi_supervised import StudentOrTeacher
from LiverMRISegLib.training.stages.stage import Needs, run_stage


@dataclass(frozen=True)
class MeanTeacherStageConfig(StageConfig):
    """Config of `scripts/train/mean_teacher.py`; SGD 0.01 as in paper 002. Branches: "student" and "teacher"."""

    teacher: MeanTeacherConfig = field(default_factory=MeanTeacherConfig)
    """The settings of the mean teacher."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False))
    """The optimizer."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=15_000, learning_rate=1e-2, gradient_clip=12.0))
    """How long, how fast, how often."""
    branch: Annotated[StudentOrTeacher, OF_PACKAGE] = "student"
    """Which of the method's networks is validated and exported."""


def run_mean_teacher(config: MeanTeacherStageConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    seed, teacher = config.loop.seed, config.teacher
    return run_stage(
        config,
        lambda setup: MeanTeacher(config.new_network(seed, deep_supervision=True), teacher, setup),
        Needs(unlabelled=True),
    )
