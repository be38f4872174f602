"""What the stages that learn from unlabelled volumes as well have in common."""

from __future__ import annotations

from typing import Literal

from LiverMRISegLib.data.datalist import read_datalist
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.stages.config import StageConfig

StudentOrTeacher = Literal["student", "teacher", "mean"]


def semi_supervised_loop(steps: int) -> LoopConfig:
    """Adam's rate of 1e-4 (ours: the papers give none), gradients clipped as in nnU-Net."""
    return LoopConfig(steps=steps, learning_rate=1e-4, gradient_clip=12.0)


def refuse_unknown_voxels(config: StageConfig, what: str = "pasted patches") -> None:
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
