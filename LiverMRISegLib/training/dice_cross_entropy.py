"""Soft Dice plus cross entropy and their gradient in few passes over the logits: a CPU spends as long on the loss as on
a small network if every step of it is a tensor of all classes.

With shares p = softmax(z) and one-hot labels y over the N known voxels of a sample, n of all samples, of class c:
I = sum p y, D = sum p + sum y + s, Dice_c = 1 - (2 I + s) / D. Then dDice_c / dp = -2 y / D + (2 I + s) / D^2, which is
constant but for the voxels of the class itself; through the softmax dL / dz_c = p_c (g_c - sum_k p_k g_k).

A class that a sample has no labels of may be anywhere in its background (marginal loss, Shi et al., Medical Image
Analysis 2021): there cross entropy counts the sum of the shares of background and of these classes, and Dice
leaves them out.
"""

from __future__ import annotations

from typing import Any

import torch

from LiverMRISegLib.anatomy import IGNORE

_SMOOTH = 1e-5
# Below it a share has no logarithm in float32.
_LEAST = 1e-30


class DiceCrossEntropyFunction(torch.autograd.Function):
    """`apply(logits, labels, unlabelled)` is the loss, as `losses.DiceCrossEntropy` explains."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor, unlabelled: torch.Tensor | None) -> torch.Tensor:
        """Logits [B, C, ...], labels [B, ...] and bool [B, at least C] or None to a scalar."""
        classes = logits.shape[1]
        shares = logits.detach().float().contiguous().softmax(1).flatten(2)
        labels = labels.flatten(1).long()
        known = labels != IGNORE
        voxels = known.sum().clamp(min=1)
        if not known.all():
            shares *= known[:, None]
            labels = torch.where(known, labels, 0)
        hidden = torch.zeros(len(labels), classes, dtype=torch.bool, device=labels.device)
        if unlabelled is not None:
            hidden |= unlabelled[:, :classes]
        right = shares.gather(1, labels[:, None])[:, 0]
        group = _grouped(shares, labels, right, hidden)
        entropy = -(group.clamp(min=_LEAST).log() * known).sum() / voxels
        overlap, there = _sums(right, labels, classes), _sums(known.float(), labels, classes)
        size = shares.sum(2) + there + _SMOOTH
        counted = ~hidden
        counted[:, 0] = False
        dice = torch.where(counted, 1 - (2 * overlap + _SMOOTH) / size, 0).sum() / (len(labels) * (classes - 1))
        ctx.save_for_backward(shares, labels, known, right, group, hidden, counted, overlap, size, voxels)
        ctx.shape, ctx.dtype = logits.shape, logits.dtype
        return dice + entropy

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient of the logits, in their type."""
        shares, labels, known, right, group, hidden, counted, overlap, size, voxels = ctx.saved_tensors
        samples, classes = hidden.shape
        weight = counted.float() / (samples * (classes - 1))
        everywhere = weight * (2 * overlap + _SMOOTH) / size.square()
        own = (-2 * weight / size).gather(1, labels)
        mean = torch.einsum("bcn,bc->bn", shares, everywhere) + own * right
        # Cross entropy: the share itself everywhere, and less where it is right.
        mean -= known / voxels
        gradient = shares * everywhere[:, :, None]
        gradient.addcmul_(shares, mean[:, None], value=-1)
        gradient.scatter_add_(1, labels[:, None], (own * right - _rightly(right, group, voxels) * known)[:, None])
        _hidden_part(gradient, shares, labels, group, hidden, voxels, known)
        return gradient.mul_(upstream).reshape(ctx.shape).to(ctx.dtype), None, None


def _sums(values: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Of [B, N] by label: [B, C]."""
    sums = torch.zeros(len(labels), classes, device=values.device)
    return sums.scatter_add_(1, labels, values)


def _grouped(shares: torch.Tensor, labels: torch.Tensor, right: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """The share of the right class, in the background with those of the sample's hidden classes: [B, N]."""
    group = right.clone()
    for sample in hidden.any(1).nonzero().flatten().tolist():
        background = labels[sample] == 0
        group[sample] += shares[sample, hidden[sample]].sum(0) * background
    return group


def _rightly(right: torch.Tensor, group: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    """What cross entropy takes off the gradient of the right class: its part of its group."""
    return torch.where(group > 0, right / group.clamp(min=_LEAST), 1.0) / voxels


def _hidden_part(
    gradient: torch.Tensor,
    shares: torch.Tensor,
    labels: torch.Tensor,
    group: torch.Tensor,
    hidden: torch.Tensor,
    voxels: torch.Tensor,
    known: torch.Tensor,
) -> None:
    """The same for the hidden classes, in the background."""
    for sample in hidden.any(1).nonzero().flatten().tolist():
        background = (labels[sample] == 0) & known[sample]
        part = background / (group[sample].clamp(min=_LEAST) * voxels)
        for value in hidden[sample].nonzero().flatten().tolist():
            gradient[sample, value].addcmul_(shares[sample, value], part, value=-1)
