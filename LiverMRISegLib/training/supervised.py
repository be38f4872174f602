"""Supervised training: Dice and cross entropy at every scale, AdamW, and an averaged copy that is what counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from monai.metrics import DiceMetric
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.training.ema import AveragedModel
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, and the decay of the averaged copy."""

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    averaging: float = 0.999


@dataclass(frozen=True)
class LabelledPatch:
    """`image` float32 [Z, Y, X], normalised; `labels` uint8 [Z, Y, X]."""

    image: np.ndarray
    labels: np.ndarray


@dataclass
class Validation:
    """Fixed patches on which the averaged copy is scored, and the names of the classes from 1 on."""

    patches: Sequence[LabelledPatch]
    classes: Sequence[str]
    _shown: int = field(default=4)


class Supervised:
    """The method of `loop.Method` for images [B, 1, Z, Y, X] with labels [B, Z, Y, X]."""

    def __init__(
        self, network: torch.nn.Module, config: OptimizerConfig, validation: Validation, fabric: Fabric
    ) -> None:
        network = network.to(fabric.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = AveragedModel(network, config.averaging)
        optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        self.model, self.optimizer = fabric.setup(network, optimizer)
        self.validation = validation
        self.fabric = fabric
        self._loss = DeepSupervision(DiceCrossEntropy())

    def losses(self, batch: Any) -> dict[str, torch.Tensor]:
        """The loss of a batch (images, labels)."""
        images, labels = batch
        images = images.to(self.fabric.device, memory_format=torch.channels_last_3d)
        return {"loss": self._loss(self.model(images), labels.to(self.fabric.device))}

    def after_step(self, step: int) -> None:
        """Let the averaged copy follow."""
        self.average.update(self.model, step)

    @torch.no_grad()
    def validate(self, writer: SummaryWriter, step: int) -> dict[str, float]:
        """Mean Dice per class over the patches that hold it; "score" is the mean over the classes."""
        names = list(self.validation.classes)
        metric = DiceMetric(include_background=False, reduction="mean_batch", num_classes=len(names) + 1)
        for number, patch in enumerate(self.validation.patches):
            predicted = self._predict(patch.image)
            metric(predicted[None, None], torch.from_numpy(patch.labels).long()[None, None])
            if number < self.validation._shown:
                writer.add_image(f"validation/{number}", _picture(patch, predicted.numpy()), step)
        dice = {name: float(value) for name, value in zip(names, metric.aggregate(), strict=True)}
        return {"score": float(np.nanmean(list(dice.values()))), **dice}

    def _predict(self, image: np.ndarray) -> torch.Tensor:
        batch = torch.from_numpy(image)[None, None].to(self.fabric.device, memory_format=torch.channels_last_3d)
        with self.fabric.autocast():
            logits = self.average.model(batch)[0]
        return logits[0].argmax(0).cpu()

    def state_dict(self) -> dict[str, Any]:
        """Network, averaged copy and optimizer."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def _picture(patch: LabelledPatch, predicted: np.ndarray) -> np.ndarray:
    """Image, truth and prediction of the slice with most organ side by side, [3, Y, 3 X] in 0 to 1."""
    z = int(np.argmax((patch.labels > 0).sum((1, 2))))
    grey = patch.image[z]
    grey = np.clip((grey - grey.min()) / max(float(np.ptp(grey)), 1e-6), 0, 1)
    colours = np.random.default_rng(0).uniform(0.2, 1.0, (256, 3)).astype(np.float32)
    panels = [np.stack([grey] * 3)]
    for labels in (patch.labels[z], predicted[z]):
        tint = colours[labels].transpose(2, 0, 1)
        panels.append(np.where(labels > 0, 0.5 * grey + 0.5 * tint, grey))
    return np.concatenate(panels, axis=2)
