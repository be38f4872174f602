"""Supervised training: Dice and cross entropy at every scale; what counts is an averaged copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from LiverMRISegLib.training.ema import AveragedModel
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy
from LiverMRISegLib.training.methods.method import SegmentationMethod, Setup


class Supervised(SegmentationMethod):
    """For batches whose stream "labelled" holds "strong" [B, 1, Z, Y, X] and "labels" [B, Z, Y, X].

    "unlabelled" (bool [B, 256]), where it comes too, names the classes that an image has no labels of.

    Branches: "average" (of the last weights: `OptimizerConfig.averaging`) and "last".
    """

    def __init__(self, network: torch.nn.Module, setup: Setup) -> None:
        super().__init__(network, setup)
        self._average = AveragedModel(self.module, setup.optimizer.averaging)
        self._loss = DeepSupervision(DiceCrossEntropy())

    @property
    def branches(self) -> Mapping[str, torch.nn.Module]:
        """As `SegmentationMethod.branches`."""
        return {"last": self.module, "average": self._average.model}

    @property
    def averaged(self) -> Mapping[str, AveragedModel]:
        """As `SegmentationMethod.averaged`."""
        return {"average": self._average}

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The loss of the labelled patches."""
        labelled = batch["labelled"]
        more = [self.to_device(labelled["unlabelled"])] if "unlabelled" in labelled else []
        images, labels = self.to_device(labelled["strong"]), self.to_device(labelled["labels"])
        return {"loss": self._loss(self.model(images), labels, *more)}
