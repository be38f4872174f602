"""Organ attention (paper 003, eq. 4 to 6): where a segmenter sees any organ, and how that is shown to a critic."""

from __future__ import annotations

from typing import Literal

import torch

Fusion = Literal["add", "multiply", "concatenate"]


def foreground_attention(segmenter: torch.nn.Module, slices: torch.Tensor) -> torch.Tensor:
    """1 - softmax(segmenter(slices))[background]: [B, 1, Y, X] from 0 to 1, of slices [B, 1, Y, X].

    Gradients pass through it to the slices, and to a segmenter that is not frozen.
    """
    probabilities = segmenter(slices).float().softmax(1)
    return 1 - probabilities[:, :1]


def fused(slices: torch.Tensor, attention: torch.Tensor, fusion: Fusion) -> torch.Tensor:
    """Slices with their attention, both [B, 1, Y, X]: the sum (eq. 6), the product, or two channels [B, 2, Y, X]."""
    if fusion == "add":
        return slices + attention
    return slices * attention if fusion == "multiply" else torch.cat([slices, attention.to(slices.dtype)], 1)


class FrozenAttention:
    """The attention of a segmenter of source slices, which is not trained further (eq. 7 and our symmetric form).

    Args:
        segmenter: gives logits [B, C, Y, X] of source slices.
        fusion: how the critic sees the attention.
        on_real: whether real slices are attended too, by the segmenter's view of their translations.
    """

    def __init__(self, segmenter: torch.nn.Module, fusion: Fusion, *, on_real: bool) -> None:
        self.segmenter, self.fusion, self.on_real = segmenter, fusion, on_real

    def pair(
        self, source: torch.Tensor, target: torch.Tensor, fake_target: torch.Tensor, fake_source: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Real slices and translations as the local critic sees them; gradients reach the translations alone."""
        with torch.no_grad():
            on_fake = foreground_attention(self.segmenter, source)
            on_real = foreground_attention(self.segmenter, fake_source) if self.on_real else torch.zeros_like(target)
        return fused(target, on_real, self.fusion), fused(fake_target, on_fake, self.fusion)


def organ_preservation(segmenter: torch.nn.Module, slices: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean Dice of the segmenter's organs on `slices` [B, 1, Y, X] against `labels` [B, Y, X], classes present only.

    Given slices that went to the other domain and back, it tells how well the organs survived the journey.
    """
    with torch.no_grad():
        predicted = segmenter(slices).argmax(1)
    scores = []
    for value in labels.unique().tolist():
        if value > 0:
            mine, truth = predicted == value, labels == value
            scores.append(float(2 * (mine & truth).sum() / (mine.sum() + truth.sum())))
    return sum(scores) / len(scores) if scores else float("nan")
