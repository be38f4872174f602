"""The segmenter that is trained beside the generators, on translations with the CT's labels.

So organ attention is run in the public code of paper 003's co-authors (HuaminWang/flare2025_task3): S learns translated
slices, attends to translations and real slices alike, and its loss on the translations flows back into the generator.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from monai.losses import DiceCELoss

from LiverMRISegLib.translation.organ_attention import Fusion, foreground_attention, fused


class JointSegmenter:
    """A segmenter of slices [B, 1, Y, X] of the target domain, with an optimizer of its own.

    Args:
        network: gives logits [B, C, Y, X].
        optimizer: of the network.
        fabric: device and precision.
        fusion: how attention is shown to the local critic.
    """

    def __init__(
        self, network: torch.nn.Module, optimizer: torch.optim.Optimizer, fabric: Fabric, fusion: Fusion
    ) -> None:
        self.network, self.fabric, self.fusion = network, fabric, fusion
        network.train().requires_grad_(True)
        self._model, self.optimizer = fabric.setup(network, optimizer)
        network.requires_grad_(False)  # but in its own step
        # As the authors': of each slice, background included, smoothed by 1.
        self._loss = DiceCELoss(to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0)

    def attended(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices as the local critic sees them; gradients reach the slices by both ways."""
        with self.fabric.autocast():  # its own weights are not trained by this, so no process has to hear of it
            attention = foreground_attention(self.network, slices)
        return fused(slices, attention, self.fusion)

    def loss(self, slices: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Dice and cross entropy of translations against the labels [B, Y, X] of what was translated."""
        with self.fabric.autocast():
            logits = self.network(slices)
        return self._of(logits, labels)

    def learn(self, slices: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        """One step of the segmenter alone, at the generators' learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(self._of(self._model(slices.detach()), labels))
        self.optimizer.step()
        self.network.requires_grad_(False)

    def _of(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = self._loss(logits.float(), labels[:, None].long())
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Network and optimizer."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
