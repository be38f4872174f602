"""Images from the CT itself: random convolutions give its tissues other grey levels and keep its real structure.

Global intensity non-linear augmentation (Ouyang et al., IEEE TMI 2023): a shallow network with random weights maps
intensities to others, the same everywhere. Then some structures get a level and a contrast of their own (after
SLAug, Su et al., AAAI 2023), so that an organ's brightness says nothing about that of the others. Arrays are
[Z, Y, X] on the structure maps' grid.
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F

from LiverMRISegLib.synthesis.randomness import Random
from LiverMRISegLib.synthesis.structure_maps import STRUCTURES, Tissue

# As published: 4 layers of 2 channels, kernels of 1 or 3 voxels.
_LAYERS, _CHANNELS, _KERNELS, _SLOPE = 4, 2, (1, 3), 0.01
# Ours: how often a structure has a level of its own, how often its contrast within is turned round, and the shares of
# voxels that become the darkest and the brightest.
_OWN_LEVEL, _TURNED, _TAILS = 0.5, 0.25, (0.01, 0.99)
# Some signal needs water or fat.
_DARK = (Tissue.AIR, Tissue.GAS, Tissue.LUNG)


def ct_view(
    structures: torch.Tensor, texture: torch.Tensor, inside: torch.Tensor, levels: torch.Tensor, random: Random
) -> torch.Tensor:
    """An image of about 0 to 1.

    Args:
        structures: uint8.
        texture: the CT, float, 0 to 255.
        inside: where a voxel has no neighbour of another structure.
        levels: a mean for each structure [STRUCTURES], from 0 to 1; some structures take it.
        random: what is drawn from.
    """
    index = structures.int()
    dark = torch.zeros(STRUCTURES, dtype=torch.bool)
    dark[[int(t) for t in _DARK]] = True
    body = ~dark[index]
    view = _stretched(_convolved(texture / 255.0, random), body, random)
    view = _with_own_levels(view, index, inside, levels, random)
    return torch.where(body, view, levels[index])


def _convolved(image: torch.Tensor, random: Random) -> torch.Tensor:
    """The image through a random shallow network, blended with itself at random; mean and deviation as before."""
    mean, deviation = image.mean(), image.std().clamp(min=1e-6)
    original = ((image - mean) / deviation)[None]
    seen = original
    for layer in range(_LAYERS):
        last = layer == _LAYERS - 1
        width = _KERNELS[random.integer(0, len(_KERNELS) - 1)]
        weight = random.noise((1 if last else _CHANNELS, seen.shape[0], width, width, width))
        seen = _convolution(seen, weight, random.noise((weight.shape[0],)))
        if not last:
            seen = F.leaky_relu(seen, _SLOPE)
    share = random.uniform(0, 1)
    blended = share * (seen / seen.square().mean().sqrt().clamp(min=1e-6)) + (1 - share) * original
    return blended[0]


def _convolution(image: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """Of [C, Z, Y, X] with edges of 0, as torch's, which takes four times as long for so few channels."""
    reach = weight.shape[-1] // 2
    padded = F.pad(image, (reach,) * 6)
    result = offset.reshape(-1, 1, 1, 1).expand(-1, *image.shape[1:]).clone()
    depth, height, width = image.shape[1:]
    for row, channel, z, y, x in product(*(range(n) for n in weight.shape)):
        part = padded[channel, z : z + depth, y : y + height, x : x + width]
        result[row].add_(part, alpha=float(weight[row, channel, z, y, x]))
    return result


def _stretched(image: torch.Tensor, body: torch.Tensor, random: Random) -> torch.Tensor:
    """Brought to a random part of 0 to 1 by its darkest and brightest voxels in the body."""
    some = image[::2, ::2, ::2][body[::2, ::2, ::2]]
    if len(some) == 0:
        return torch.zeros_like(image)
    low, high = (torch.quantile(some[:: max(1, len(some) // 100_000)], tail) for tail in _TAILS)
    darkest = random.uniform(0.02, 0.3)
    brightest = random.uniform(darkest + 0.3, 1.0)
    return darkest + (brightest - darkest) * ((image - low) / (high - low).clamp(min=1e-6)).clamp(-0.1, 1.2)


def _with_own_levels(
    image: torch.Tensor, index: torch.Tensor, inside: torch.Tensor, levels: torch.Tensor, random: Random
) -> torch.Tensor:
    """Some structures moved to their level, with their inner contrast stronger, weaker or turned round.

    Where these meet others they are plain: there the CT shows how much of a voxel each fills, as in `painting`.
    """
    flat = index.flatten().long()
    count = torch.bincount(flat, minlength=STRUCTURES).clamp(min=1)
    mean = torch.bincount(flat, weights=image.flatten(), minlength=STRUCTURES).float() / count
    numbers = random.numbers
    moved = torch.from_numpy(numbers.random(STRUCTURES) < _OWN_LEVEL)
    gain = torch.from_numpy(numbers.uniform(0.3, 1.3, STRUCTURES)).float()
    gain = torch.where(torch.from_numpy(numbers.random(STRUCTURES) < _TURNED), -gain, gain)
    gain = torch.where(moved, gain, torch.ones(()))
    level = torch.where(moved, levels, mean)
    shown = inside | ~moved[index]
    return (level[index] + gain[index] * (image - mean[index]) * shown).clamp(0, 1.3)
