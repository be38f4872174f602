"""The stage of bidirectional copy-paste (BCP): labelled and unlabelled volumes pasted into each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.loop import LoopConfig, RunResult
from LiverMRISegLib.training.methods.bidirectional_copy_paste import BidirectionalCopyPaste, CopyPasteConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.stages.config import OF_PACKAGE, StageConfig
from LiverMRISegLib.training.stages.semi_supervised import StudentOrTeacher, refuse_unknown_voxels
from LiverMRISegLib.training.stages.stage import Needs, run_stage


@dataclass(frozen=True)
class CopyPasteStageConfig(StageConfig):
    """Config of `scripts/train/bidirectional_copy_paste.py`, with the optimiser, rate and 2,000 + 15,000 steps of the
    authors' code on the left atrium. Branches: "student" and "teacher".
    """

    copy_paste: CopyPasteConfig = field(default_factory=CopyPasteConfig)
    """The settings of bidirectional copy-paste."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False))
    """The optimizer."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=17_000, learning_rate=1e-2, warmup=0, gradient_clip=12.0, schedule="staircase"
        )
    )
    """How long, how fast, how often."""
    branch: Annotated[StudentOrTeacher, OF_PACKAGE] = "student"
    """Which of the method's networks is validated and exported."""


def run_bidirectional_copy_paste(config: CopyPasteStageConfig) -> RunResult:
    """Train; errors as in `run_stage`, and at once for batches that cannot be paired after the pre-training."""
    refuse_unknown_voxels(config)
    labelled, unlabelled = config.data.labelled_batch, config.data.unlabelled_batch
    if labelled != unlabelled or labelled % 2:
        raise UsageError(
            f"copy-paste pairs patches: data.labelled_batch and data.unlabelled_batch must be equal and even, not "
            f"{labelled} and {unlabelled}"
        )
    seed, pasting = config.loop.seed, config.copy_paste
    return run_stage(
        config,
        lambda setup: BidirectionalCopyPaste(config.new_network(seed, deep_supervision=False), pasting, setup),
        Needs(unlabelled=True, same_place=pasting.same_place),
    )
