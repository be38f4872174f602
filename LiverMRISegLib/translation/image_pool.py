"""CycleGAN's pool of earlier translations: the critics also see those, so that the training does not oscillate."""

from __future__ import annotations

import torch


class ImagePool:
    """Keeps up to `size` slices; once full, half of the slices asked for are exchanged for earlier ones.

    Of size 0 it keeps none, and every slice comes back as it is.
    """

    def __init__(self, size: int = 50) -> None:
        self.size = size
        self.kept: list[torch.Tensor] = []

    def exchange(self, slices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Slices [B, C, Y, X], some of them earlier ones; what comes in is kept."""
        out = []
        for one in slices.detach():
            if len(self.kept) < self.size:
                self.kept.append(one.clone())
                out.append(one)
            elif self.size and float(torch.rand((), generator=generator)) < 0.5:
                at = int(torch.randint(self.size, (), generator=generator))
                out.append(self.kept[at])
                self.kept[at] = one.clone()
            else:
                out.append(one)
        return torch.stack(out)
