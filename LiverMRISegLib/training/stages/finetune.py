"""The supervised stage: labelled volumes, synthetic images or both, from a start (papers 000/001) or random weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.stage import Needs, run_stage


@dataclass(frozen=True)
class FinetuneConfig(StageConfig):
    """Config of `scripts/train/finetune.py`. Branches: "average" and "last".

    STU-Net on ATLAS: 100 epochs (25,000 steps, as nnU-Net counts 250 to an epoch), Adam, batches of 2. The paper does
    not give a learning rate; 1e-4 is ours.
    """

    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=25_000, learning_rate=1e-4, gradient_clip=12.0))
    """How long, how fast, how often."""
    branch: Annotated[Literal["average", "last", "mean"], OF_PACKAGE] = "average"
    """Which of the method's networks is validated and exported."""


def run(config: FinetuneConfig) -> RunResult:
    """Train; errors as in `run_stage`."""
    seed = config.loop.seed
    return run_stage(
        config,
        lambda setup: Supervised(config.new_network(seed, deep_supervision=True), setup),
        Needs(),
    )
