"""The stage that fine-tunes on labelled volumes (papers 000/001: STU-Net on ATLAS), or trains from random weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.stages.stage import StageConfig, run_stage


@dataclass(frozen=True)
class FinetuneConfig(StageConfig):
    """Config of `scripts/train/finetune.py`.

    The paper: 100 epochs (25,000 steps, as nnU-Net counts 250 to an epoch), Adam, batches of 2. Its learning rate is
    not given; 1e-4 is ours. Branches: "average" and "last".
    """

    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=25_000, learning_rate=1e-4, gradient_clip=12.0))


def run(config: FinetuneConfig) -> RunResult:
    """Train; errors as `run_stage`."""
    seed = config.loop.seed
    return run_stage(
        config,
        lambda setup: Supervised(config.new_network(seed, deep_supervision=True), setup),
        unlabelled=False,
    )
