"""An exponentially averaged copy of a network."""

from __future__ import annotations

import copy

import torch


class AveragedModel:
    """`model` is a frozen copy whose parameters follow the source's: new = decay * old + (1 - decay) * source.

    The decay begins lower, as min(decay, step / (step + warm_up)), so that a random start is forgotten quickly:
    MiDSS and mean teachers have a `warm_up` of 1, BCP, which starts from trained weights, of 0.
    """

    def __init__(self, source: torch.nn.Module, decay: float = 0.999, warm_up: float = 9.0) -> None:
        self.model = copy.deepcopy(source).requires_grad_(False)
        self.decay, self.warm_up = decay, warm_up

    @torch.no_grad()
    def update(self, source: torch.nn.Module, step: int) -> None:
        """Move towards the source; called after optimizer step number `step`, counted from 1."""
        decay = min(self.decay, step / (step + self.warm_up))
        own: list[torch.Tensor] = list(self.model.parameters())
        theirs: list[torch.Tensor] = list(source.parameters())
        torch._foreach_lerp_(own, theirs, 1.0 - decay)

    def copy_from(self, source: torch.nn.Module) -> None:
        """Become equal to the source."""
        self.model.load_state_dict(source.state_dict())
