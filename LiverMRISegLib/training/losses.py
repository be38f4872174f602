"""Losses shared by the methods: Dice and cross entropy over the scales of deep supervision, unknown voxels left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.training.dice_cross_entropy import DiceCrossEntropyFunction


class DiceCrossEntropy(torch.nn.Module):
    """Soft Dice (foreground classes, per sample, smooth 1e-5) plus cross entropy; voxels labelled IGNORE do not count.

    As nnU-Net's loss up to the constant 1 (methods: Isensee et al. 2021), computed by `dice_cross_entropy`.
    """

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, unlabelled: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss.

        Args:
            logits: [B, C, Z, Y, X].
            labels: integers [B, Z, Y, X].
            unlabelled: bool [B, at least C], true for the classes that a sample has no labels of, so that its
                background may be any of them; never for background.

        Returns:
            a scalar.
        """
        loss: torch.Tensor = DiceCrossEntropyFunction.apply(logits, labels, unlabelled)
        return loss


def deep_supervision_weights(scales: int) -> list[float]:
    """nnU-Net's weights: halved per scale, the coarsest dropped, summing to 1 (5 scales: .5333 .2667 .1333 .0667 0)."""
    raw = [0.5**i for i in range(scales)]
    if scales > 1:
        raw[-1] = 0.0
    return [w / sum(raw) for w in raw]


class DeepSupervision(torch.nn.Module):
    """`loss` at every scale, labels taken nearest, weighted by `deep_supervision_weights`."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        """Logits of every scale, full resolution first, the full-resolution labels [B, Z, Y, X], and what else the
        loss takes."""
        total = outputs[0].new_zeros((), dtype=torch.float32)
        for weight, logits in zip(deep_supervision_weights(len(outputs)), outputs, strict=True):
            if weight > 0:
                total = total + weight * self.loss(logits, _nearest(labels, logits.shape[2:]), *more)
        return total


def _nearest(labels: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    steps = [n // m for n, m in zip(labels.shape[1:], shape, strict=True)]
    return labels[:, :: steps[0], :: steps[1], :: steps[2]]


class CrossEntropy(torch.nn.Module):
    """Cross entropy alone; voxels labelled IGNORE do not count."""

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits [B, C, Z, Y, X] and integer labels [B, Z, Y, X] to a scalar."""
        labels = labels.long()
        return _mean_of_known(F.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="sum"), labels)


def _mean_of_known(total: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """0, not NaN, where no voxel of a patch is known."""
    return total / (labels != IGNORE).sum().clamp(min=1)


class SquaredDiceCrossEntropy(torch.nn.Module):
    """Half of cross entropy plus Dice with squared denominators over the batch, background included (SSL4MIS)."""

    def __init__(self) -> None:
        super().__init__()
        self._dice = DiceLoss(softmax=True, squared_pred=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits [B, C, Z, Y, X] and integer labels [B, Z, Y, X] without IGNORE to a scalar."""
        logits, labels = logits.float(), labels.long()
        dice: torch.Tensor = self._dice(logits, F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float())
        return 0.5 * (F.cross_entropy(logits, labels) + dice)


class FinestOnly(torch.nn.Module):
    """`loss` of the finest scale alone."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """As `DeepSupervision.forward`."""
        loss: torch.Tensor = self.loss(outputs[0], labels)
        return loss
