"""The optimizers of the papers by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.muon import Muon

OPTIMIZERS = ("adam", "adamw", "muon", "sgd")


@dataclass(frozen=True)
class OptimizerConfig:
    """`name`: "adam" (papers 000/001), "adamw", "muon" (`training.muon`), or "sgd" (Nesterov momentum; nnU-Net 0.99,
    BCP and CPS 0.9).

    `averaging`: decay of the exponentially averaged copy that is validated and exported by methods that have one; 0
    makes the copy the network itself. The learning rate and its schedule stand in `LoopConfig`.
    """

    name: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.99
    averaging: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise UsageError(f"unknown optimizer '{self.name}'; known are: {', '.join(OPTIMIZERS)}")
        if not 0 <= self.averaging < 1:
            raise UsageError(f"optimizer.averaging must lie in [0, 1), not {self.averaging}")

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer; the loop sets its learning rate at every step."""
        if self.name == "sgd":
            return torch.optim.SGD(
                parameters, 1e-3, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.momentum > 0
            )
        if self.name == "muon":
            return Muon(parameters, 1e-3, weight_decay=self.weight_decay)
        kind = torch.optim.Adam if self.name == "adam" else torch.optim.AdamW
        return kind(parameters, 1e-3, weight_decay=self.weight_decay)
