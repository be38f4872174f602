"""Pasting a box of one volume into another, and the losses of such mixtures (BCP: Bai et al. 2023, eq. 1 to 9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F

_BOX_SHARE = 2 / 3


def box_mask(shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """BCP's mask M, float [Z, Y, X]: ones, but zeros in a box of floor(2/3 n) voxels per axis at a random place."""
    mask = torch.ones(*shape)
    box = []
    for n in shape:
        size = int(_BOX_SHARE * n)
        start = int(torch.randint(0, n - size + 1, (1,), generator=generator))
        box.append(slice(start, start + size))
    mask[tuple(box)] = 0
    return mask


def mix(outside: torch.Tensor, inside: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`outside` where the mask is 1, `inside` where it is 0; images or integer labels."""
    return torch.where(mask.bool(), outside, inside)


def mixture_loss(
    logits: torch.Tensor,
    outside: torch.Tensor,
    inside: torch.Tensor,
    mask: torch.Tensor,
    weights: tuple[float, float],
) -> torch.Tensor:
    """Half of Dice plus cross entropy, the regions outside and inside the box weighted apart.

    Args:
        logits: [B, C, Z, Y, X] of the mixture.
        outside: labels [B, Z, Y, X] that hold where the mask is 1.
        inside: labels that hold where it is 0.
        mask: [Z, Y, X] or [B, Z, Y, X].
        weights: of the two regions; that of pseudo labels is below 1.
    """
    logits = logits.float()
    mask = mask.to(logits.device).expand(logits.shape[0], *logits.shape[2:])
    total = logits.new_zeros(())
    for labels, region, weight in ((outside, mask, weights[0]), (inside, 1 - mask, weights[1])):
        entropy = F.cross_entropy(logits, labels.long(), reduction="none")
        masked = (entropy * region).sum() / (region.sum() + 1e-16)
        total = total + weight * (masked_dice(logits, labels, region) + masked)
    return 0.5 * total


def masked_dice(logits: torch.Tensor, labels: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Dice loss per sample and class, background included, counting only `region` [B, Z, Y, X]; mean of all."""
    scores = logits.softmax(1)
    truth = F.one_hot(labels.long(), logits.shape[1]).movedim(-1, 1).to(scores.dtype)
    axes = tuple(range(2, logits.dim()))
    region = region[:, None]
    common = (scores * truth * region).sum(axes)
    total = (scores * region).sum(axes) + (truth * region).sum(axes)
    return 1 - ((2 * common + 1e-5) / (total + 1e-5)).mean()


def largest_components(labels: torch.Tensor) -> torch.Tensor:
    """Labels [B, Z, Y, X] with only the largest component (26 neighbours) of each class of each sample kept."""
    kept = torch.zeros_like(labels)
    for number, sample in enumerate(labels.cpu().numpy().astype(np.uint8)):
        for value in np.unique(sample[sample > 0]):
            components = sitk.ConnectedComponent(sitk.GetImageFromArray((sample == value).astype(np.uint8)), True)
            ranked = sitk.GetArrayFromImage(sitk.RelabelComponent(components, sortByObjectSize=True))
            kept[number][torch.from_numpy(ranked == 1).to(labels.device)] = int(value)
    return kept
