"""What is between and around the organs, varied: gas and bowel content, unknown tissue, fat and arms outside.

Structure maps as in `anatomy`; organs keep their voxels.
"""

from __future__ import annotations

import torch

from LiverMRISegLib.synthesis.randomness import Random, coarse_box_mean
from LiverMRISegLib.synthesis.structure_maps import Tissue


def put(structures: torch.Tensor, mask: torch.Tensor, tissue: Tissue) -> torch.Tensor:
    """The map with `tissue` where `mask` is True."""
    return torch.where(mask, torch.tensor(int(tissue), dtype=torch.uint8), structures)


def with_bowel_gas(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """Gas becomes content in some places, and bowel and content become gas in others."""
    full, empty = random.field(structures.shape, random.uniform(15, 40) / spacing, channels=2)
    filled = (structures == Tissue.GAS) & (full > random.uniform(-1.5, 1.0))
    bowel = (structures == Tissue.INNER_SOFT) | (structures == Tissue.BRIGHT_CONTENT)
    gas = bowel & (empty > random.uniform(1.1, 2.0))
    content = Tissue.BRIGHT_CONTENT if random.chance(0.6) else Tissue.FLUID
    return put(put(structures, filled, content), gas, Tissue.GAS)


def with_background(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """Unknown soft tissue split into lumps of fat, muscle, content and gas, and the wall's layers made uneven."""
    shape = structures.shape
    fields = random.field(shape, random.uniform(12, 45) / spacing, channels=3)
    unknown = structures == Tissue.INNER_SOFT
    result = put(structures, unknown & (fields[0] > random.uniform(-0.6, 0.8)), Tissue.VISCERAL_FAT)
    result = put(result, unknown & (fields[1] > random.uniform(0.5, 1.5)), Tissue.WALL_MUSCLE)
    result = put(result, unknown & (fields[2] > random.uniform(0.8, 1.8)), Tissue.BRIGHT_CONTENT)
    result = put(result, unknown & (fields.sum(0) < -random.uniform(2.2, 4.0)), Tissue.GAS)
    thin = (structures == Tissue.WALL_MUSCLE) & (fields[1] - fields[0] > random.uniform(0.5, 2.0))
    return put(result, thin, Tissue.SUBCUTANEOUS_FAT)


def with_outer_layers(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """More fat under the skin, unevenly, and now and then an arm beside the body. Only air is replaced."""
    air = structures == Tissue.AIR
    if not air.any():
        return structures
    width = 2 * round(random.uniform(5, 24) / spacing) + 1
    near = coarse_box_mean(~air, width)
    uneven = 0.15 * random.field(structures.shape, random.uniform(40, 100) / spacing)[0]
    result = put(structures, air & (near > 0.25 + uneven.clamp_(-0.2, 0.3)), Tissue.SUBCUTANEOUS_FAT)
    return _with_arm(result, spacing, random) if random.chance(0.5) else result


def _with_arm(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """A slanting limb in the air on one side: fat around muscle around bone."""
    depth, height, width = structures.shape
    radius = random.uniform(25, 50) / spacing
    side = width - 1 if random.chance(0.5) else 0
    z = torch.arange(depth).float()
    x = side + random.uniform(-0.4, 0.4) * radius + random.uniform(-0.2, 0.2) * (z - depth / 2)
    y = random.uniform(0.3, 0.8) * height + random.uniform(-0.3, 0.3) * (z - depth / 2)
    across = (torch.arange(width).float() - x[:, None])[:, None, :]
    along = ((torch.arange(height).float() - y[:, None]) * random.uniform(0.7, 1.3))[:, :, None]
    distance = (across.square() + along.square()) / radius**2
    air = structures == Tissue.AIR
    result = put(structures, air & (distance < 1), Tissue.SUBCUTANEOUS_FAT)
    result = put(result, air & (distance < random.uniform(0.4, 0.9)), Tissue.WALL_MUSCLE)
    return put(result, air & (distance < random.uniform(0.03, 0.12)), Tissue.SKELETON)
