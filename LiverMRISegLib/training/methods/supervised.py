"""Supervised training: Dice and cross entropy at every scale; what counts is an averaged copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.training.ema import AveragedModel
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy, ViewDivergence
from LiverMRISegLib.training.methods.method import SegmentationMethod, Setup


class Supervised(SegmentationMethod):
    """For batches whose stream "labelled" holds "strong" [B, 1, Z, Y, X] and "labels" [B, Z, Y, X].

    "unlabelled" (bool [B, 256]), where it comes too, names the classes that an image has no labels of. With a weight
    `consistency` there are "weak" and "weak labels" too, another image of each patient: both are learnt from, and the
    answers to both are to be alike (Ouyang et al. 2023).

    Branches: "average" (of the last weights: `OptimizerConfig.averaging`) and "last".
    """

    def __init__(self, network: torch.nn.Module, setup: Setup, consistency: float = 0.0) -> None:
        super().__init__(network, setup)
        self.consistency = consistency
        self._average = AveragedModel(self.module, setup.optimizer.averaging)
        self._loss = DeepSupervision(DiceCrossEntropy())
        self._divergence = ViewDivergence()

    @property
    def branches(self) -> Mapping[str, torch.nn.Module]:
        """As `SegmentationMethod.branches`."""
        return {"last": self.module, "average": self._average.model}

    @property
    def averaged(self) -> Mapping[str, AveragedModel]:
        """As `SegmentationMethod.averaged`."""
        return {"average": self._average}

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The loss of the labelled patches, and by how much the answers to both images of a patient differ."""
        labelled = batch["labelled"]
        more = [self.to_device(labelled["unlabelled"])] if "unlabelled" in labelled else []
        images, labels = self.to_device(labelled["strong"]), self.to_device(labelled["labels"])
        if not self.consistency:
            return {"loss": self._loss(self.model(images), labels, *more)}
        others = self.to_device(labelled["weak labels"])
        outputs = self.model(torch.cat([images, self.to_device(labelled["weak"])]))
        supervised = self._loss(outputs, torch.cat([labels, others]), *(torch.cat([table, table]) for table in more))
        divergence = self._divergence(*outputs[0].chunk(2), (labels == others) & (labels != IGNORE))
        loss = supervised + self.consistency * divergence
        return {"loss": loss, "supervised": supervised, "divergence": divergence}
