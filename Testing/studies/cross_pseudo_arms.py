"""The ways in which the networks of cross pseudo supervision count each other's labels, for cross_pseudo_labels.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig, CrossPseudoSupervision
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.schedules import sigmoid_ramp

BY_LABELS = "labels alone"


@dataclass(frozen=True)
class Arm:
    """How the networks' labels for each other count.

    `weight` of them, 0 for none; `ramp`: "sigmoid" over all steps, "none", or "late" (nothing for two fifths of the
    steps, all after three fifths); `loss`: "entropy", "dice" (Dice and cross entropy at every scale) or "soft" (cross
    entropy against probabilities); `view` that the labels are made from; `labelled`: whether labelled patches count.
    """

    weight: float = 1.0
    ramp: str = "sigmoid"
    loss: str = "entropy"
    view: str = "strong"
    labelled: bool = True


ARMS: Mapping[str, Arm] = {
    BY_LABELS: Arm(weight=0.0),
    "cross entropy, ramp": Arm(),
    "cross entropy, constant": Arm(ramp="none"),
    "cross entropy, late": Arm(ramp="late"),
    "cross entropy, weak view": Arm(view="weak"),
    "cross entropy, weight 0.1, unlabelled": Arm(weight=0.1, labelled=False),
    "probabilities, ramp": Arm(loss="soft"),
    "Dice, ramp": Arm(loss="dice"),
    "Dice, constant": Arm(ramp="none", loss="dice"),
    "Dice, weak view": Arm(loss="dice", view="weak"),
    "Dice, weak view, late": Arm(ramp="late", loss="dice", view="weak"),
}


class Studied(CrossPseudoSupervision):
    """Cross pseudo supervision by an `Arm`; it notes how good the networks' labels are, by labels it does not learn."""

    def __init__(self, first: torch.nn.Module, second: torch.nn.Module, arm: Arm, setup: Setup, notes: Path) -> None:
        super().__init__(first, second, CrossPseudoConfig("dice"), setup)
        self.arm, self.notes, self._counts = arm, notes, np.zeros(6)
        self._both = DeepSupervision(DiceCrossEntropy())

    def share(self, step: int) -> float:
        """Of the weight at this step."""
        done = step / self.steps
        late = min(1.0, max(0.0, 5.0 * (done - 0.4)))
        return {"sigmoid": sigmoid_ramp(step, self.steps), "none": 1.0, "late": late}[self.arm.ramp]

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """As the method's; the unlabelled patches are left out while they count nothing."""
        labelled, unlabelled, arm = batch["labelled"], batch["unlabelled"], self.arm
        weight, count = arm.weight * self.share(step), len(labelled["labels"])
        parts = [labelled] if weight == 0 else [labelled, unlabelled]
        first, second = self.model(torch.cat([part["strong"] for part in parts]))
        loss = sum(
            self.preset.supervised([scale[:count] for scale in one], labelled["labels"]) for one in (first, second)
        )
        if weight == 0:
            if step % 10 == 9:
                self._note(self._said(unlabelled["strong"]), unlabelled["labels"], step)
            return {"loss": loss}
        said = [one[0].detach().softmax(1) for one in (first, second)]
        if arm.view == "weak":
            said = self._said(torch.cat([labelled["weak"], unlabelled["weak"]]))
        self._note([one[count:] for one in said], unlabelled["labels"], step)
        begin = 0 if arm.labelled else count
        cross = self._by([s[begin:] for s in first], said[1][begin:]) + self._by(
            [s[begin:] for s in second], said[0][begin:]
        )
        return {"loss": loss + weight * cross}

    def _by(self, outputs: Sequence[torch.Tensor], said: torch.Tensor) -> torch.Tensor:
        if self.arm.loss == "soft":
            return -(said * outputs[0].log_softmax(1)).sum(1).mean()
        if self.arm.loss == "entropy":
            return F.cross_entropy(outputs[0], said.argmax(1))
        found: torch.Tensor = self._both(outputs, said.argmax(1))
        return found

    @torch.no_grad()
    def _said(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [outputs[0].softmax(1) for outputs in self.module(images)]

    def _note(self, said: Sequence[torch.Tensor], truth: torch.Tensor, step: int) -> None:
        """Every hundred steps: Dice of both networks' labels, their size against the truth's, and their agreement."""
        organ = truth == 1
        one, two = (probabilities.argmax(1) == 1 for probabilities in said)
        sums = ((one & organ).sum(), one.sum(), (two & organ).sum(), two.sum(), organ.sum(), (one & two).sum())
        self._counts += [int(v) for v in sums]
        if (step + 1) % 100:
            return
        hit_one, size_one, hit_two, size_two, size, both = np.maximum(self._counts, 1)
        self._counts = np.zeros(6)
        line = {
            "step": step + 1,
            "dice": [2 * hit_one / (size_one + size), 2 * hit_two / (size_two + size)],
            "size": [size_one / size, size_two / size],
            "agreement": 2 * both / (size_one + size_two),
        }
        with self.notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
