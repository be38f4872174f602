"""What pseudo labels add to the loss of a method that learns from unlabelled volumes too (paper 002)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import NotNegative, Share


@dataclass(frozen=True)
class PseudoTermConfig(Checked):
    """How the pseudo labels that come with unlabelled volumes count."""

    weight: NotNegative = 0.5
    """Weight of their loss at last. In paper 002 it is that of the labels' loss, which the mean teacher counts half and
    cross pseudo supervision whole."""
    ramp: Share = 0.3
    """Share of all steps over which it rises from 0 (paper 002: p(t) = min(1, t / (0.3 T)))."""


class PseudoTerm:
    """weight * p(t) * `loss` against the labels that come with the unlabelled patches; 0 where none come."""

    def __init__(self, config: PseudoTermConfig, steps: int, loss: torch.nn.Module) -> None:
        self.config, self.steps, self.loss = config, steps, loss

    def __call__(self, outputs: Sequence[torch.Tensor], batch: Mapping[str, torch.Tensor], step: int) -> torch.Tensor:
        """Of the logits of all scales for the unlabelled patches of `batch`."""
        if "labels" not in batch:
            return outputs[0].sum() * 0
        share = pseudo_ramp(step, self.steps, self.config.ramp)
        loss: torch.Tensor = self.loss(outputs, batch["labels"].to(outputs[0].device))
        return self.config.weight * share * loss


def pseudo_ramp(step: int, steps: int, ramp: float = 0.3) -> float:
    """min(1, step / (ramp * steps))."""
    return min(1.0, step / (ramp * steps)) if ramp else 1.0
