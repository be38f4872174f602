"""What the scanner makes of a painted image: which part it sees, shading, slices, noise.

`artefacts` has what may go wrong on top. Images are [Z, Y, X] on the training grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from LiverMRISegLib.synthesis.artefacts import disturbed, gapped_slices, slice_jumps
from LiverMRISegLib.synthesis.randomness import Random, box_mean

if TYPE_CHECKING:
    from LiverMRISegLib.synthesis.config import RandomizationConfig

# The shortest partial field of view along z, and the length of slabs, in mm.
_SHORTEST_FIELD_OF_VIEW = 60.0
_SLAB_LENGTH = (40.0, 80.0)
# At most: the logarithm of the gamma, and of the gain that neighbouring slices differ by.
_GAMMA = 0.6
_SLICE_GAIN = 0.15
# Standard deviation of the noise, at most: of clean images, and of very noisy ones.
_CLEAN_NOISE = 0.012
_HEAVIEST_NOISE = 0.2


def field_of_view(structures: torch.Tensor, config: RandomizationConfig, random: Random) -> tuple[slice, slice, slice]:
    """The box that was scanned; the rest of the patch is padding, as around a small volume at inference."""
    box = [slice(0, n) for n in structures.shape]
    for axis, probability in zip(range(3), _crop_probabilities(config), strict=True):
        if random.chance(probability):
            n = structures.shape[axis]
            shortest = _SHORTEST_FIELD_OF_VIEW * (1 if axis == 0 else 2.5) / config.spacing
            length = int(random.uniform(min(shortest, n - 1), n))
            start = int(random.numbers.integers(0, n - length + 1))
            box[axis] = slice(start, start + length)
    apart = random.addition("slab", config.scanner.slab)
    if apart is not None:
        length = min(structures.shape[0], max(2, round(apart.uniform(*_SLAB_LENGTH) / config.spacing)))
        start = apart.integer(0, structures.shape[0] - length)
        box[0] = slice(start, start + length)
    return (box[0], box[1], box[2])


def _crop_probabilities(config: RandomizationConfig) -> tuple[float, float, float]:
    return (config.crop_probability, config.in_plane_crop_probability, config.in_plane_crop_probability)


def jumped(
    image: torch.Tensor, structures: torch.Tensor, config: RandomizationConfig, random: Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """What was scanned and its structures with every slice moved up or down, if the image is one with `jumps`."""
    apart = random.addition("jumps", config.scanner.jumps)
    if apart is None:
        return image, structures
    _, place = slice_jumps(image.shape[0], config.spacing, apart)
    lower = place.floor().long()
    upper = (lower + 1).clamp_(max=image.shape[0] - 1)
    share = (place - lower)[:, None, None]
    return image[lower] * (1 - share) + image[upper] * share, structures[place.round().long()]


def acquire(image: torch.Tensor, config: RandomizationConfig, random: Random) -> torch.Tensor:
    """Gamma, coil shading, blur, thick slices in any plane, and Rician noise at the scanned resolution."""
    shape = image.shape
    image = image ** float(np.exp(random.uniform(-_GAMMA, _GAMMA)))
    shading = random.field(shape, max(shape) / random.uniform(1.5, 4.0))[0]
    image = image * torch.exp(random.uniform(0, config.bias) * shading)
    image = _blurred(disturbed(image, config.spacing, config.scanner, random), random)
    if random.addition("soft", config.scanner.soft):
        image = box_mean(image, 3)
    image = _sliced(image, config, random)
    if random.chance(0.4):
        # Slices scanned one by one, in different breaths: each is a little brighter or darker than its neighbours.
        image = image * torch.exp(random.uniform(0, _SLICE_GAIN) * random.noise((1, 1, image.shape[2], 1, 1)))
    level = _noise_level(config, random)
    noisy = (image + level * random.noise(image.shape)).square() + (level * random.noise(image.shape)).square()
    if random.addition("nearest return", config.scanner.nearest_return):
        return F.interpolate(noisy.sqrt(), size=tuple(shape), mode="nearest-exact")[0, 0]
    return F.interpolate(noisy.sqrt(), size=tuple(shape), mode="trilinear", align_corners=False)[0, 0]


def _noise_level(config: RandomizationConfig, random: Random) -> float:
    """The standard deviation of the noise of either channel."""
    level = random.uniform(0, config.noise)
    apart = random.addition("clean", config.scanner.clean)
    if apart is not None:
        return apart.uniform(0, _CLEAN_NOISE)
    apart = random.addition("heavy noise", config.scanner.heavy_noise)
    return level if apart is None else apart.uniform(config.noise, _HEAVIEST_NOISE)


def _sliced(image: torch.Tensor, config: RandomizationConfig, random: Random) -> torch.Tensor:
    """The image [1, 1, z, y, x] at the scanned resolution: slices that touch, or slices with gaps between them."""
    scanned = _scanned_shape(image.shape, config, random)
    apart = random.addition("jumps", config.scanner.jumps)
    if apart is not None:  # the same slices again that `jumped` moved
        count, _ = slice_jumps(image.shape[0], config.spacing, apart)
        return F.interpolate(image[None, None], size=(count, *image.shape[1:]), mode="area")
    apart = random.addition("slice gaps", config.scanner.slice_gaps)
    if apart is not None:
        return gapped_slices(image, config.spacing, apart)[None, None]
    return F.interpolate(image[None, None], size=scanned, mode="area")


def _blurred(image: torch.Tensor, random: Random) -> torch.Tensor:
    """Mix with a 3 x 3 x 3 mean: edges at this resolution are partial volumes of finer ones."""
    share = random.uniform(0, 1)
    return share * box_mean(image, 3) + (1 - share) * image


def _scanned_shape(shape: Sequence[int], config: RandomizationConfig, random: Random) -> tuple[int, ...]:
    """Voxels per axis as scanned: thick slices mostly along z, now and then a coarse matrix in-plane."""
    scanned = list(shape)
    if random.chance(config.thick_probability):
        axis = int(random.numbers.choice(3, p=(0.8, 0.12, 0.08)))
        scanned[axis] = max(2, round(shape[axis] * config.spacing / random.uniform(*config.slice_thickness)))
        if random.chance(0.2):
            for other in {0, 1, 2} - {axis}:
                scanned[other] = max(2, round(shape[other] * config.spacing / (config.spacing * random.uniform(1, 2))))
    return tuple(min(a, b) for a, b in zip(scanned, shape, strict=True))
