"""What the training methods have in common; each of them adds `losses`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.training.ema import AveragedModel
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.packaging import MEAN
from LiverMRISegLib.training.validation import Validation


@dataclass(frozen=True)
class Setup:
    """What every method is given beside its networks and its own settings.

    `branch`: which of the method's branches is scored, or MEAN of all. `steps`: of the whole training, for ramps.
    """

    optimizer: OptimizerConfig
    validation: Validation
    fabric: Fabric
    branch: str
    steps: int


class SegmentationMethod:
    """A method of `loop.Method` around one trained module, of which `branches` may be validated and exported.

    Args:
        model: what the optimizer changes.
        setup: optimizer, device, what to score on.
    """

    def __init__(self, model: torch.nn.Module, setup: Setup) -> None:
        self.fabric, self.validation, self.branch, self.steps = (
            setup.fabric,
            setup.validation,
            setup.branch,
            setup.steps,
        )
        moved = model.to(self.fabric.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.module: torch.nn.Module = moved
        self.model, self.optimizer = self.fabric.setup(moved, setup.optimizer.build(moved.parameters()))

    @property
    def branches(self) -> Mapping[str, torch.nn.Module]:
        """The networks by name that may be exported."""
        raise NotImplementedError

    @property
    def averaged(self) -> Mapping[str, AveragedModel]:
        """Averaged copies, which the optimizer does not change but the checkpoint must hold."""
        return {}

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The losses of a batch; "loss" is minimised."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Let the averaged copies follow."""
        for average in self.averaged.values():
            average.update(self.module, step)

    def validate(self, writer: SummaryWriter, step: int) -> dict[str, float]:
        """Dice of the chosen branch."""
        chosen = list(self.branches.values()) if self.branch == MEAN else [self.branches[self.branch]]
        scores = self.validation.score(chosen, self.fabric, writer, step)
        self.module.train()
        return scores

    def state_dict(self) -> dict[str, Any]:
        """The networks by branch and the optimizer."""
        return {
            "networks": {name: network.state_dict() for name, network in self.branches.items()},
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, network in self.branches.items():
            network.load_state_dict(state["networks"][name])
        self.optimizer.load_state_dict(state["optimizer"])

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """An image or label batch on the method's device, images in the layout that convolutions like."""
        moved = tensor.to(self.fabric.device, non_blocking=True)
        return moved.contiguous(memory_format=torch.channels_last_3d) if moved.dim() == 5 else moved


class StudentAndTeacher(SegmentationMethod):
    """A network and its averaged copy, which teaches it. Branches: "student" and "teacher".

    Args:
        network: the student.
        setup: as in `SegmentationMethod`.
        decay: of the average.
        warm_up: as in `AveragedModel`.
    """

    def __init__(self, network: torch.nn.Module, setup: Setup, decay: float = 0.99, warm_up: float = 1.0) -> None:
        super().__init__(network, setup)
        self.teacher = AveragedModel(self.module, decay, warm_up)

    @property
    def branches(self) -> Mapping[str, torch.nn.Module]:
        """As `SegmentationMethod.branches`."""
        return {"student": self.module, "teacher": self.teacher.model}

    @property
    def averaged(self) -> Mapping[str, AveragedModel]:
        """As `SegmentationMethod.averaged`."""
        return {"teacher": self.teacher}
