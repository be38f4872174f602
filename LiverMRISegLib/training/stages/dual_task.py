"""The stage of dual-task consistency: probabilities and signed distances of one network must agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.dual_task import DualTask, DualTaskConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.stage import Needs, run_stage


@dataclass(frozen=True)
class DualTaskStageConfig(StageConfig):
    """Config of `scripts/train/dual_task.py`; SGD 0.01 and 6,000 steps as its authors. Branch: "network"."""

    dual_task: DualTaskConfig = field(default_factory=DualTaskConfig)
    """The settings of dual-task consistency."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False))
    """The optimizer."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=6_000, learning_rate=1e-2, gradient_clip=12.0))
    """How long, how fast, how often."""
    branch: Annotated[Literal["network"], OF_PACKAGE] = "network"
    """Which of the method's networks is validated and exported: there is one."""


def run_dual_task(config: DualTaskStageConfig) -> RunResult:
    """Train; errors as in `run_stage`, and UsageError for a network that cannot have a second head."""
    seed, settings = config.loop.seed, config.dual_task
    return run_stage(
        config,
        lambda setup: DualTask(config.new_network(seed, deep_supervision=True), settings, setup),
        Needs(unlabelled=True),
    )
