"""Other patients from the same structure map: it is changed before it is painted, so that the labels follow.

Structure maps are uint8 [Z, Y, X] in LPS order (`structure_maps`): z grows to superior, y to posterior. Every addition
is a function of its own with a probability of its own; 0 omits it. What changes takes the values of `Tissue`: what was
cut from the liver is not labelled as liver any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from LiverMRISegLib.anatomy import GALLBLADDER, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from LiverMRISegLib.synthesis.chest import with_chest, with_spine
from LiverMRISegLib.synthesis.config import AnatomyConfig
from LiverMRISegLib.synthesis.randomness import Random, box_around, box_mean, highest_near, is_one_of
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, STRUCTURES, Tissue
from LiverMRISegLib.synthesis.surroundings import put, with_background, with_bowel_gas, with_outer_layers

LIVER_VALUE, SPLEEN_VALUE = ORGAN_VALUES.value_of(LIVER), ORGAN_VALUES.value_of(SPLEEN)
_GALLBLADDER_VALUE = ORGAN_VALUES.value_of(GALLBLADDER)
_BORDERED = (LIVER_VALUE, SPLEEN_VALUE, ORGAN_VALUES.value_of(RIGHT_KIDNEY), ORGAN_VALUES.value_of(LEFT_KIDNEY))
# What an organ may grow into, and what fluid may take the place of.
_YIELDING = (Tissue.VISCERAL_FAT, Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT, Tissue.GAS, Tissue.FLUID, Tissue.LUNG)
_CAVITY = (Tissue.VISCERAL_FAT, Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT)
_FILLING = (*_CAVITY, Tissue.GAS)
_BAND = 7
# Below this share of a smoothed mask the organ is out of reach.
_LEAST = 0.04
# How far the additions go, in mm, or as shares of the liver.
_RESECTED_SHARE = (0.15, 0.5)
_GROWTH_REACH = 45.0
_BORDER_SHIFT = 6.0


StructuresAndTexture = tuple[torch.Tensor, torch.Tensor | None]


def change_anatomy(
    structures: torch.Tensor, texture: torch.Tensor | None, spacing: float, config: AnatomyConfig, random: Random
) -> StructuresAndTexture:
    """All additions in turn, except `filling`, which takes two structure maps, and `taller`, which takes a whole one.

    Where structures changed, the CT's `texture` is levelled: it showed what was there.
    """
    steps: tuple[tuple[str, float, Callable[[torch.Tensor, Random], torch.Tensor]], ...] = (
        ("background", config.background if texture is None else 0.0, lambda s, r: with_background(s, spacing, r)),
        ("bowel gas", config.bowel_gas, lambda s, r: with_bowel_gas(s, spacing, r)),
        ("chest", config.chest, lambda s, r: with_chest(s, spacing, r)),
        ("spine", config.spine, lambda s, r: with_spine(s, spacing, r)),
        ("resection", config.resection, lambda s, r: resected(s, _RESECTED_SHARE, r)),
        ("growth", config.growth, lambda s, r: grown(s, _GROWTH_REACH / spacing, r)),
        *((f"border {v}", config.borders, _border_of(v, _BORDER_SHIFT / spacing)) for v in _BORDERED),
        ("nodular", config.nodular, lambda s, r: nodular(s, config.nodule_depth / spacing, r)),
        ("ascites", config.ascites, lambda s, r: with_ascites(s, config.ascites_depth / spacing, r)),
        ("outer layers", config.outer_layers, lambda s, r: with_outer_layers(s, spacing, r)),
    )  # fmt: skip
    changed = structures
    for name, probability, change in steps:
        apart = random.addition(name, probability)
        if apart is not None:
            changed = change(changed, apart)
    if texture is not None and changed is not structures:
        texture = _levelled(texture, structures, changed)
    apart = random.addition("breath", config.breath)
    return breathed(changed, texture, config.breath_shift / spacing, apart) if apart else (changed, texture)


def _border_of(value: int, shift: float) -> Callable[[torch.Tensor, Random], torch.Tensor]:
    def change(structures: torch.Tensor, random: Random) -> torch.Tensor:
        """Out or in by at most `shift` voxels, unevenly."""
        far = random.uniform(0.3, 1.0) * shift
        return moved_border(structures, value, random.uniform(-far, far), 0.5 * far, random.uniform(8, 20), random)

    return change


def _levelled(texture: torch.Tensor, before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """Voxels that changed their structure get the mean texture that their new structure has elsewhere."""
    some = (slice(None, None, 2),) * 3  # every eighth voxel is enough for a mean
    kept = torch.where(before == now, now, torch.tensor(0, dtype=torch.uint8))[some].flatten().long()
    count = torch.bincount(kept, minlength=STRUCTURES).clamp(min=1)
    mean = torch.bincount(kept, weights=texture[some].flatten(), minlength=STRUCTURES).float() / count
    return torch.where(before == now, texture, mean[now.int()])


def filled_as(own: StructuresAndTexture, other: StructuresAndTexture) -> StructuresAndTexture:
    """Bowel, gas and fat as in a patch of another body; fat where that one has organs, wall or nothing.

    So organs get neighbours that no single body has, and mostly fat, which a network must tell from them.
    """
    (structures, texture), (there, there_texture) = own, other
    loose = is_one_of(structures, _FILLING)
    taken = loose & is_one_of(there, _FILLING)
    filled = torch.where(taken, there, put(structures, loose, Tissue.VISCERAL_FAT))
    if texture is None:
        return filled, None
    if there_texture is None:
        return filled, _levelled(texture, structures, filled)
    shown = torch.where(taken, there_texture, texture)
    return filled, _levelled(shown, torch.where(taken, there, structures), filled)


def nodular(structures: torch.Tensor, depth: float, random: Random) -> torch.Tensor:
    """The liver's surface uneven by up to `depth` voxels: bumps of 2 to 4 voxels."""
    return moved_border(structures, LIVER_VALUE, 0.0, random.uniform(0.4, 1.0) * depth, random.uniform(2, 4), random)


def moved_border(structures: torch.Tensor, value: int, shift: float, unevenness: float, cell: float,
                 random: Random) -> torch.Tensor:  # fmt: skip
    """The border of the organ `value` moved outwards by `shift` voxels, more or less by a smooth field.

    The organ's smoothed mask falls from 1 to 0 over `_BAND` voxels across a flat border, so a threshold of it is a
    border moved by up to half of that; thin parts lose nothing, or they would be gone. What the
    organ leaves is taken by the tissue beside it; it grows into soft tissue, fat, gas and lung only.
    """
    box = box_around(structures == value, _BAND)
    if box is None:
        return structures
    part = structures[box]
    organ = part == value
    smooth = box_mean(organ.float(), _BAND)
    moved = shift + unevenness * random.field(part.shape, cell)[0]
    offset = (moved / _BAND).clamp_(-0.45, 0.45)
    border = _level_of_border(smooth, organ)
    grown = ~organ & (smooth > (border - offset).clamp(min=_LEAST)) & (offset > 0) & is_one_of(part, _YIELDING)
    lost = organ & (smooth < border - offset) & (offset < -0.05) & _thick(organ)
    result = structures.clone()
    result[box] = torch.where(grown, torch.tensor(value, dtype=torch.uint8), filled_from_beside(part, lost))
    return result


def _thick(mask: torch.Tensor) -> torch.Tensor:
    """The part of a bool mask that is in a cube of 5 voxels within it."""
    cubes = 1 - highest_near(1 - mask.to(torch.uint8), 2)
    return highest_near(cubes, 2).bool()


def _level_of_border(smooth: torch.Tensor, organ: torch.Tensor) -> float:
    """The threshold of a smoothed mask that leaves its volume as it is: a half, less where the surface is curved."""
    bins = torch.histc(smooth, 64, 0, 1)
    above = bins.flip(0).cumsum(0)
    return 1 - (int((above < int(organ.sum())).sum()) + 0.5) / 64


def filled_from_beside(structures: torch.Tensor, lost: torch.Tensor) -> torch.Tensor:
    """The map with the voxels of mask `lost` taken by the tissue beside them, fat where no tissue is near."""
    result = torch.where(lost, torch.tensor(255, dtype=torch.uint8), structures)
    for turn in range(12):
        axis, step = turn % 3, 1 if turn % 6 < 3 else -1
        beside = result.roll(step, axis)
        spreads = (result == 255) & (beside >= Tissue.SUBCUTANEOUS_FAT) & (beside != 255)
        spreads &= beside != Tissue.UNCERTAIN
        result = torch.where(spreads, beside, result)
    return put(result, result == 255, Tissue.VISCERAL_FAT)


def resected(structures: torch.Tensor, share: tuple[float, float], random: Random) -> torch.Tensor:
    """The liver without a share of it, cut along a bent plane of any direction; bowel and fat take its place."""
    liver = structures == LIVER_VALUE
    box = box_around(liver, 1)
    if box is None:
        return structures
    part, inside = structures[box], liver[box]
    direction = random.numbers.normal(size=3)
    axes = [torch.arange(n).float() * float(d) for n, d in zip(part.shape, direction, strict=True)]
    height = (
        axes[0][:, None, None] + axes[1][:, None] + axes[2] + random.uniform(0, 4) * random.field(part.shape, 15)[0]
    )
    limit = torch.quantile(height[inside], 1 - random.uniform(*share))
    gone = inside & (height > limit)
    if random.chance(0.6):  # the gallbladder goes with it
        gone |= part == _GALLBLADDER_VALUE
    lumps = random.field(part.shape, random.uniform(5, 10))[0] > random.uniform(-0.8, 0.8)
    filling = put(torch.full_like(part, int(Tissue.INNER_SOFT)), lumps, Tissue.VISCERAL_FAT)
    result = structures.clone()
    result[box] = torch.where(gone, filling, part)
    return result


def grown(structures: torch.Tensor, reach: float, random: Random) -> torch.Tensor:
    """The liver reaches up to `reach` voxels further, mostly down or to the left: a long right lobe, a large left one.

    Fat, bowel and what they hold yield to it; organs, lungs, wall and skeleton do not.
    """
    liver = structures == LIVER_VALUE
    most = math.ceil(reach)
    box = box_around(liver, most)
    if box is None:
        return structures
    part, liver = structures[box], liver[box]
    way = random.numbers.normal(size=3) * 0.5 + np.array([-1.0, -0.3, 0.0] if random.chance(0.7) else [0.0, -0.3, 1.0])
    way *= random.uniform(0.3, 1.0) * reach / np.linalg.norm(way)
    padded = F.pad(liver, (most,) * 6)
    swept = liver.clone()
    steps = math.ceil(np.linalg.norm(way) / 2)
    for step in range(1, steps + 1):
        start = [most - round(float(w) * step / steps) for w in way]
        swept |= padded[tuple(slice(s, s + n) for s, n in zip(start, part.shape, strict=True))]
    lobe = random.field(part.shape, random.uniform(12, 30))[0] > random.uniform(-1.0, 0.3)
    result = structures.clone()
    gives_way = is_one_of(part, _FILLING)
    result[box] = torch.where(swept & lobe & gives_way, torch.tensor(LIVER_VALUE, dtype=torch.uint8), part)
    return result


def with_ascites(structures: torch.Tensor, depth: float, random: Random) -> torch.Tensor:
    """Fluid around liver and spleen: in the fat and bowel beside them, and where their surface yields to it.

    About `depth` voxels of it on either side of the organ's old surface, more where much is drawn: 3 at most.
    """
    organs = is_one_of(structures, (LIVER_VALUE, SPLEEN_VALUE))
    box = box_around(organs, _BAND)
    if box is None:
        return structures
    part, organs = structures[box], organs[box]
    smooth = box_mean(organs.float(), _BAND)
    reach = (random.uniform(0.3, 1.0) * depth / _BAND) * (random.field(part.shape, random.uniform(8, 16))[0] + 0.6)
    reach.clamp_(0, 0.45)
    border = _level_of_border(smooth, organs)
    beside = is_one_of(part, _CAVITY) & (smooth > (border - reach).clamp(min=_LEAST))
    # The surface yields by less than half as much: the organ floats, it is not eaten up.
    yields = organs & (smooth < border + (0.4 * reach).clamp(max=0.2)) & (reach > 0.1) & _thick(organs)
    result = structures.clone()
    result[box] = put(part, beside | yields, Tissue.FLUID)
    return result


def breathed(
    structures: torch.Tensor, texture: torch.Tensor | None, shift: float, random: Random
) -> StructuresAndTexture:
    """Groups of 2 to 5 slices shifted in-plane by up to `shift` voxels, the same in both; edges are repeated."""
    thick = random.integer(2, 5)
    depth, height, width = structures.shape
    rows, columns = torch.arange(height), torch.arange(width)
    far = random.uniform(0.2, 1.0) * shift
    source_y, source_x = torch.empty(depth, height, dtype=torch.long), torch.empty(depth, width, dtype=torch.long)
    for start in range(0, depth, thick):
        y, x = round(random.uniform(-far, far)), round(random.uniform(-0.5 * far, 0.5 * far))
        source_y[start : start + thick] = (rows + y).clamp(0, height - 1)
        source_x[start : start + thick] = (columns + x).clamp(0, width - 1)
    place = (torch.arange(depth)[:, None, None], source_y[:, :, None], source_x[:, None, :])
    return structures[place], texture[place] if texture is not None else None
