"""Organ attention (paper 003, eq. 4): where a segmenter of the source slices sees any organ."""

from __future__ import annotations

import torch


@torch.no_grad()
def foreground_attention(segmenter: torch.nn.Module, slices: torch.Tensor) -> torch.Tensor:
    """1 - softmax(segmenter(slices))[background]: [B, 1, Y, X] from 0 to 1, of slices [B, 1, Y, X]."""
    probabilities = segmenter(slices).float().softmax(1)
    return 1 - probabilities[:, :1]


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
