"""An exponentially averaged copy of a network."""

from __future__ import annotations

import copy

import torch


class AveragedModel:
    """`model` is a frozen copy whose parameters follow the source's: new = decay * old + (1 - decay) * source.

    The decay warms up as min(decay, (step + 1) / (step + 10)), so that the random start is forgotten quickly.
    """

    def __init__(self, source: torch.nn.Module, decay: float = 0.999) -> None:
        self.model = copy.deepcopy(source).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, source: torch.nn.Module, step: int) -> None:
        """Move towards the source; called after every optimizer step."""
        decay = min(self.decay, (step + 1) / (step + 10))
        own: list[torch.Tensor] = list(self.model.parameters())
        theirs: list[torch.Tensor] = list(source.parameters())
        torch._foreach_lerp_(own, theirs, 1.0 - decay)
