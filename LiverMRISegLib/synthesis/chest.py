"""What a body's bands of CT intensity do not tell apart and MR shows: heart and effusions, discs and spinal canal.

Structure maps as in `anatomy`; organs keep their voxels.
"""

from __future__ import annotations

import numpy as np
import torch

from LiverMRISegLib.synthesis.randomness import Random, box_mean, coarse_box_mean, is_one_of
from LiverMRISegLib.synthesis.structure_maps import STRUCTURES, Tissue
from LiverMRISegLib.synthesis.surroundings import put

_SPINE_TISSUES = (Tissue.SKELETON, Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT, Tissue.VISCERAL_FAT, Tissue.WALL_MUSCLE)
_FEWEST_SLICES = 8
_CHEST_WALL = 25.0  # mm of tissue in front of a heart
_HEART_REACH = 90.0  # mm to either side of the middle


def with_chest(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """Above the dome: lungs where the body had none, a heart of blood and wall, at times fluid behind the lungs."""
    lungs = structures == Tissue.LUNG
    if not lungs.any():
        structures = _with_lungs(structures, spacing, random)
        lungs = structures == Tissue.LUNG
    chest = lungs.float().mean((1, 2)) > 0.01
    if not chest.any():
        return structures
    rows = torch.arange(structures.shape[1]).float()
    used = (structures != Tissue.AIR).any(2).any(0).nonzero()[:, 0]
    front, back = float(used[0]), float(used[-1])
    anterior = (rows < front + 0.6 * (back - front))[:, None]
    # Soft tissue within 15 mm of a lung is named wall muscle, so most of a heart is; contrast medium is bright content.
    soft = is_one_of(structures, (Tissue.INNER_SOFT, Tissue.WALL_MUSCLE, Tissue.BRIGHT_CONTENT))
    behind_the_wall = (structures != Tissue.AIR).int().cumsum(1) > _CHEST_WALL / spacing
    columns = torch.arange(structures.shape[2]).float()
    middle = float((structures != Tissue.AIR).any(0).any(0).nonzero()[:, 0].float().mean())
    central = (columns - middle).abs() < _HEART_REACH / spacing
    lump = soft & behind_the_wall & central & anterior & chest[:, None, None]
    heart = lump & (coarse_box_mean(lump, 5) > 0.6)
    wall = random.field(structures.shape, random.uniform(15, 35) / spacing)[0].abs() < random.uniform(0.2, 0.6)
    result = put(put(structures, heart, Tissue.HEART), heart & wall, Tissue.WALL_MUSCLE)
    if random.chance(0.3):
        level = back - random.uniform(0.1, 0.4) * (back - front)
        result = put(result, lungs & (rows > level)[:, None], random_filling(random))
    return result


def random_filling(random: Random) -> Tissue:
    """What is in a lung that holds no air: fluid, or its own collapsed tissue."""
    return Tissue.FLUID if random.chance(0.6) else Tissue.INNER_SOFT


def _with_lungs(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """Lung instead of unknown soft tissue above the organs, except in the middle, where the heart is."""
    organs = (structures > 0) & (structures < Tissue.SUBCUTANEOUS_FAT)
    if not organs.any() or organs[-5:].any():  # what is above the organs is not in this patch
        return structures
    shadow = coarse_box_mean(organs, 7) > 0
    below = shadow.flip(0).int().cumsum(0).flip(0) > 0  # there is an organ in this place or above it
    top = int(organs.any(2).any(1).nonzero()[-1, 0])
    high = torch.arange(structures.shape[0]) > top - random.uniform(20, 60) / spacing
    middle = int(organs.any(1).any(0).nonzero()[:, 0].float().mean())
    columns = torch.arange(structures.shape[2]).float()
    shift = random.uniform(0, 25) / spacing  # the heart is left of the middle
    beside = (columns - middle - shift).abs() > random.uniform(25, 50) / spacing
    unknown = structures == Tissue.INNER_SOFT
    return put(structures, unknown & ~below & high[:, None, None] & beside, Tissue.LUNG)


def with_spine(structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """Vertebral bodies filled with marrow, discs between them and the fluid of the canal behind them.

    The line of the spine is where bone is densest, slice by slice, smoothed by a parabola. Bodies whose skeleton is
    unknown, or shows in less than 8 slices, are left as they are.
    """
    line = _line_of_spine(structures, spacing)
    if line is None:
        return structures
    y, x = (torch.from_numpy(v).float() for v in line)
    rows, columns = torch.arange(structures.shape[1]).float(), torch.arange(structures.shape[2]).float()
    across = (columns - x[:, None])[:, None, :] * spacing
    along = (rows - y[:, None])[:, :, None] * spacing
    table = torch.zeros(STRUCTURES, dtype=torch.bool)
    table[[int(t) for t in _SPINE_TISSUES]] = True
    yielding = table[structures.int()]
    size = random.uniform(0.85, 1.15)
    vertebra = yielding & ((across / (22 * size)).square() + ((along + 8) / (16 * size)).square() < 1)
    period, thickness = random.uniform(28, 38), random.uniform(5, 11)
    height = torch.arange(structures.shape[0]).float() * spacing + random.uniform(0, 38)
    discs = (height % period < thickness)[:, None, None]
    radius = random.uniform(6, 10)
    canal = yielding & ((across / (1.3 * radius)).square() + ((along - 10 * size - radius) / radius).square() < 1)
    result = put(put(structures, vertebra, Tissue.SKELETON), vertebra & discs, Tissue.DISC)
    return put(result, canal, Tissue.FLUID)


def _line_of_spine(structures: torch.Tensor, spacing: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(y, x) of the spine in voxels for every slice, float64 [Z] each; None where too little bone is seen."""
    # Every second voxel along y and x is enough to find it.
    bone = box_mean((structures[:, ::2, ::2] == Tissue.SKELETON).float(), 2 * round(9 / spacing) + 1)
    density, place = (t.numpy() for t in bone.flatten(1).max(1))
    y, x = (2 * v for v in np.divmod(place, bone.shape[2]))
    seen = density > 0.15
    if seen.sum() < _FEWEST_SLICES:
        return None
    near = seen & (np.abs(x - np.median(x[seen])) < 30 / spacing) & (np.abs(y - np.median(y[seen])) < 45 / spacing)
    if near.sum() < _FEWEST_SLICES:
        return None
    slices = np.arange(len(y))
    return tuple(np.polyval(np.polyfit(slices[near], v[near], 2), slices) for v in (y, x))  # type: ignore[return-value]
