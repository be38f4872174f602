"""Cross pseudo supervision (Chen et al. 2021; papers 000/001, eq. 4 to 7): two networks label for each other.

Both see the same augmented volumes. L = L_s + weight * L_cps, with L_s the supervised loss of both networks and
L_cps the loss of each against the other's labels, through which no gradient flows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import torch

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import NotNegative
from LiverMRISegLib.training.losses import (
    CrossEntropy,
    DeepSupervision,
    DiceCrossEntropy,
    FinestOnly,
    SquaredDiceCrossEntropy,
)
from LiverMRISegLib.training.methods.method import SegmentationMethod, Setup
from LiverMRISegLib.training.methods.pseudo_term import PseudoTerm, PseudoTermConfig
from LiverMRISegLib.training.schedules import sigmoid_ramp

Preset = Literal["paper", "original", "ssl4mis", "dice"]
Scales = Sequence[torch.Tensor]
Ramp = Literal["none", "sigmoid"]
# Whose patches L_cps counts: the mean over the labelled plus that over the unlabelled (paper 001, eq. 6), the mean over
# the joined batch (TorchSemiSeg), or the mean over the unlabelled (SSL4MIS).
Counted = Literal["sum", "joined", "unlabelled"]


@dataclass(frozen=True)
class CpsPreset:
    """How a publication weighs the terms.

    `supervised`: the loss against labels. `cross`: against the other network's labels. `weight`: of L_cps, multiplied
    by a sigmoid ramp over all steps if `ramp` says so. `counted`: which patches L_cps counts.
    """

    supervised: torch.nn.Module
    cross: torch.nn.Module
    weight: float
    ramp: Ramp
    counted: Counted


_ENTROPY, _WITH_DICE = FinestOnly(CrossEntropy()), DeepSupervision(DiceCrossEntropy())
# The paper gives cross entropy and both kinds of volumes, but no weight: 1.5 is the original's. "dice" is ours: the
# loss of our supervised training for all labels, those of the other network too.
PRESETS: Mapping[Preset, CpsPreset] = MappingProxyType({
    "paper": CpsPreset(DeepSupervision(CrossEntropy()), _ENTROPY, 1.5, "none", "sum"),
    "original": CpsPreset(_ENTROPY, _ENTROPY, 1.5, "none", "joined"),
    "ssl4mis": CpsPreset(FinestOnly(SquaredDiceCrossEntropy()), _ENTROPY, 0.1, "sigmoid", "unlabelled"),
    "dice": CpsPreset(_WITH_DICE, _WITH_DICE, 1.0, "sigmoid", "joined"),
})  # fmt: skip


@dataclass(frozen=True)
class CrossPseudoConfig(Checked):
    """The method's own settings."""

    preset: Preset = "dice"
    """Losses and weights of the paper, of the original (TorchSemiSeg), of SSL4MIS, or ours with Dice (dice), which was
    measured not to lose to its labels alone where these are very few."""
    weight: NotNegative = 0.0
    """Weight of the networks' labels for each other; 0 takes the preset's. The paper gives none: 1.5,
    TorchSemiSeg's, is ours for it."""
    ramp: Literal["preset", "none", "sigmoid"] = "preset"
    """How that weight rises: as the preset says, not at all, or by a sigmoid ramp over all steps. From a trained start
    the heads of one network at least are new, and a ramp keeps their first labels from the other."""
    pseudo: PseudoTermConfig = field(default_factory=lambda: PseudoTermConfig(weight=1.0))
    """How pseudo labels count that come with the unlabelled volumes (paper 002)."""

    @property
    def has_ramp(self) -> bool:
        """Whether the weight rises from nearly 0, by the preset or by `ramp`."""
        return (PRESETS[self.preset].ramp if self.ramp == "preset" else self.ramp) == "sigmoid"


class Pair(torch.nn.Module):
    """Two networks that are trained as one module."""

    def __init__(self, first: torch.nn.Module, second: torch.nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, images: torch.Tensor) -> tuple[Any, Any]:
        """What each makes of the images [B, 1, Z, Y, X]."""
        return self.first(images), self.second(images)


class CrossPseudoSupervision(SegmentationMethod):
    """For streams "labelled" and "unlabelled". Branches: "first" and "second" ("mean" is both).

    Args:
        first: one network; gives the logits of all scales.
        second: the other, with the same body perhaps, but never with the same heads.
        cps: preset and weight.
        setup: optimizer, device, what to score on.

    Raises:
        UsageError: the networks are equal, so that neither could teach the other.
    """

    def __init__(
        self,
        first: torch.nn.Module,
        second: torch.nn.Module,
        cps: CrossPseudoConfig,
        setup: Setup,
    ) -> None:
        if all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)):
            raise UsageError(
                "cross pseudo supervision needs two different networks; give them different starts or new heads"
            )
        super().__init__(Pair(first, second), setup)
        self.preset = PRESETS[cps.preset]
        self.weight = cps.weight or self.preset.weight
        self._has_ramp = cps.has_ramp
        self._pseudo = PseudoTerm(cps.pseudo, self.steps, self.preset.supervised)

    @property
    def branches(self) -> Mapping[str, torch.nn.Module]:
        """As `SegmentationMethod.branches`."""
        pair = self.module
        return {"first": pair.first, "second": pair.second}  # type: ignore[dict-item]

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """Eq. 7, its two terms, and pseudo labels."""
        labelled, unlabelled = batch["labelled"], batch["unlabelled"]
        labels = self.to_device(labelled["labels"])
        first, second = self.model(self.to_device(torch.cat([labelled["strong"], unlabelled["strong"]])))
        count = len(labels)
        supervised = sum(
            self.preset.supervised([scale[:count] for scale in outputs], labels) for outputs in (first, second)
        )
        cross = self._cross(first, second, count)
        weight = self.weight * (sigmoid_ramp(step, self.steps) if self._has_ramp else 1.0)
        pseudo = sum(
            self._pseudo([scale[count:] for scale in outputs], unlabelled, step) for outputs in (first, second)
        )
        terms = {"supervised": supervised, "cross": cross, "pseudo": pseudo}
        return {"loss": supervised + weight * cross + pseudo, **terms}

    def _cross(self, first: Scales, second: Scales, labelled: int) -> torch.Tensor:
        """Eq. 6 over the patches that the preset counts; the first `labelled` ones have labels."""
        parts = {
            "joined": [slice(None)],
            "unlabelled": [slice(labelled, None)],
            "sum": [slice(labelled), slice(labelled, None)],
        }[self.preset.counted]
        return torch.stack([
            cross_pseudo_loss([s[part] for s in first], [s[part] for s in second], self.preset.cross)
            for part in parts
        ]).sum()  # fmt: skip


def cross_pseudo_loss(first: Scales, second: Scales, loss: torch.nn.Module) -> torch.Tensor:
    """loss(first, argmax second) + loss(second, argmax first), of logits of all scales (eq. 5)."""
    by_second: torch.Tensor = loss(first, second[0].argmax(1))
    by_first: torch.Tensor = loss(second, first[0].argmax(1))
    return by_second + by_first
