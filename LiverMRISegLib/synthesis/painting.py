"""What tissue looks like: every structure gets a mean, drawn at random or around an MR sequence, and a texture.

`look` adds what single organs and diseases add to it. All arrays are [Z, Y, X].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from LiverMRISegLib.anatomy import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from LiverMRISegLib.synthesis.contrast_priors import draw_contrast
from LiverMRISegLib.synthesis.ct_view import ct_view
from LiverMRISegLib.synthesis.look import PARCELLED, change_contrast, change_look
from LiverMRISegLib.synthesis.randomness import Random, is_inside
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, STRUCTURES, Tissue

if TYPE_CHECKING:
    from LiverMRISegLib.synthesis.config import RandomizationConfig

# How often the contrast is drawn around a family of MR sequences rather than from anywhere.
_FAMILY_PROBABILITY = 0.7
# How many limits divide the CT's grey levels: there are 8 parcels at most.
_CT_LIMITS = (3, 7)
LARGE_ORGANS = tuple(ORGAN_VALUES.value_of(o) for o in (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN))


def paint(
    structures: torch.Tensor, texture: torch.Tensor | None, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """Give each structure a mean and a texture; returns an image [Z, Y, X] of about 0 to 1."""
    shape = structures.shape
    index = structures.int()
    parcels = _parcels(structures, random)
    if texture is not None:
        parcels = _ct_clusters(parcels, texture, config, random)
    contrasts = change_contrast(_contrasts(random, config), config.look, random)
    means = torch.from_numpy(contrasts).float()
    image = means[parcels, index] if parcels is not None else means[0][index]
    inside = is_inside(structures)
    if texture is not None:
        image = image + _ct_texture(structures, texture, inside, config, random) * (0.2 + 1.6 * image)
    spread = torch.from_numpy(random.numbers.uniform(0, 0.08, STRUCTURES)).float()
    grain = random.field(shape, random.uniform(2, 5))[0] + 0.7 * random.field(shape, random.uniform(6, 16))[0]
    image = image + spread[index] * grain
    apart = random.addition("CT view", config.look.ct_view) if texture is not None else None
    if texture is not None and apart is not None:
        image = ct_view(structures, texture, inside, means[0], apart)
    organs = (structures > 0) & (structures < Tissue.SUBCUTANEOUS_FAT)
    if random.chance(config.vessel_probability):
        image = _with_vessels(image, organs, random)
    if random.chance(config.lesion_probability):
        image = _with_lesions(image, structures, config, random)
    return change_look(image, structures, config.spacing, config.look, random).clamp_(0, 1.5)


def _parcels(structures: torch.Tensor, random: Random) -> torch.Tensor:
    """Split bowel, mesentery and other unlabelled tissue into patches of differing contrast; 0 elsewhere."""
    fields = random.field(structures.shape, random.uniform(5, 14), channels=2)
    patches = 1 + (fields[0] > 0).int() + 2 * (fields[1] > 0).int() + 4 * ((fields[0] * fields[1]).abs() > 0.4).int()
    split = [t for t in PARCELLED if random.chance(0.3 if t == Tissue.VISCERAL_FAT else 0.85)]
    if random.chance(0.3):
        split.append(Tissue.WALL_MUSCLE)
    table = torch.zeros(STRUCTURES, dtype=torch.int32)
    table[[int(t) for t in split]] = 1
    return patches * table[structures.int()]


def _ct_clusters(
    parcels: torch.Tensor, texture: torch.Tensor, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """The voxels that are in parcels, divided by the CT's grey levels at random limits instead of by random lumps.

    Real bowel, vessels and folds of the mesentery then have outlines of their own (clusters as painting classes).
    """
    apart = random.addition("CT clusters", config.look.ct_clusters)
    inside = parcels > 0
    some = texture[::2, ::2, ::2][inside[::2, ::2, ::2]]
    if apart is None or len(some) == 0:
        return parcels
    limits = np.sort(apart.numbers.uniform(0.02, 0.98, apart.integer(*_CT_LIMITS)))
    levels = torch.quantile(some[:: max(1, len(some) // 100_000)], torch.from_numpy(limits).float())
    return torch.where(inside, 1 + torch.bucketize(texture, levels).int(), parcels)


def _contrasts(random: Random, config: RandomizationConfig) -> np.ndarray:
    """Mean intensity [parcel, structure]; parcels of a tissue differ among each other."""
    n = random.numbers
    means = n.uniform(0.05, 1.0, (9, STRUCTURES))
    if random.chance(_FAMILY_PROBABILITY):
        means[0] = draw_contrast(n, config.family_spread, config.family_relative_spread)
    else:
        means[0] = _any_contrast(means[0], random)
    means[1:] = means[0] * 0.6 + means[1:] * 0.4
    means[1:, Tissue.WALL_MUSCLE] = means[0, Tissue.WALL_MUSCLE] * n.uniform(0.7, 1.4, len(means) - 1)
    means[:, Tissue.AIR] = n.uniform(0, 0.05)
    means[:, [Tissue.GAS, Tissue.LUNG]] = n.uniform(0, 0.15, 2)
    fat = means[0, Tissue.VISCERAL_FAT]
    means[1:, Tissue.VISCERAL_FAT] = fat + 0.3 * (means[1:, Tissue.VISCERAL_FAT] - 0.5)
    return np.clip(means, 0, 1)


def _any_contrast(common: np.ndarray, random: Random) -> np.ndarray:
    """Anything goes, but both kidneys are alike, fat is mostly bright or suppressed, and muscle mostly dark."""
    n = random.numbers
    kidney = common[LARGE_ORGANS[1]]
    common[LARGE_ORGANS[1]], common[LARGE_ORGANS[2]] = kidney, np.clip(kidney + n.normal(0, 0.03), 0.03, 1)
    fat = random.uniform(0.55, 1.0) if random.chance(0.5) else random.uniform(0.03, 0.35)
    common[[Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]] = np.clip(fat + n.normal(0, 0.05, 2), 0.02, 1)
    if random.chance(0.5):
        common[Tissue.SKELETON] = np.clip(fat * random.uniform(0.3, 1.0), 0.02, 1)
    if random.chance(0.7):
        common[Tissue.WALL_MUSCLE] = random.uniform(0.08, 0.45)
    if random.chance(0.35):  # the hard case: the liver as bright as its neighbour
        neighbour = int(n.choice([Tissue.WALL_MUSCLE, Tissue.INNER_SOFT, LARGE_ORGANS[3], LARGE_ORGANS[1]]))
        common[neighbour] = np.clip(common[LARGE_ORGANS[0]] + n.normal(0, 0.06), 0.02, 1)
    return common


def _ct_texture(
    structures: torch.Tensor, texture: torch.Tensor, inside: torch.Tensor, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """What varies inside each structure in the CT (vessels, bowel walls, renal cortex), by a random gain and sign.

    Nothing where structures meet (not `inside`): there the CT shows how much of a voxel each fills, and a random sign
    would make a
    seam of it that follows the labels, as no scanner draws it.
    """
    flat = structures.flatten().long()
    count = torch.bincount(flat, minlength=STRUCTURES).clamp(min=1)
    mean = torch.bincount(flat, weights=texture.flatten(), minlength=STRUCTURES).float() / count
    gain = torch.from_numpy(random.numbers.normal(0, config.texture, STRUCTURES)).float()
    gain[int(Tissue.AIR)] = 0
    index = structures.int()
    return ((texture - mean[index]) / 85.0).clamp_(-1, 1) * gain[index] * inside


def _with_vessels(image: torch.Tensor, organs: torch.Tensor, random: Random) -> torch.Tensor:
    """Thin curved tubes, where two smooth fields are both near zero, brighter or darker than the organ."""
    fields = random.field(image.shape, random.uniform(4, 10), channels=2)
    tube = (fields.square().sum(0) < random.uniform(0.005, 0.05)) & organs
    return torch.where(tube, image * (1 + random.uniform(-0.9, 1.4)), image)


def _with_lesions(
    image: torch.Tensor, structures: torch.Tensor, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """Round lesions of 4 to 25 mm radius in the large organs: cysts, metastases, tumours keep the organ's label."""
    inside = torch.isin(structures, torch.tensor(LARGE_ORGANS, dtype=torch.uint8))
    candidates = inside.flatten().nonzero()[:, 0]
    if len(candidates) == 0:
        return image
    axes = [torch.arange(n).float() for n in image.shape]
    for _ in range(int(random.numbers.integers(1, 6))):
        place = int(candidates[int(random.numbers.integers(len(candidates)))])
        centre = np.unravel_index(place, tuple(image.shape))
        radius = random.uniform(4, 25) / config.spacing
        squares = [
            ((a - float(c)) / (radius * random.uniform(0.7, 1.4))) ** 2 for a, c in zip(axes, centre, strict=True)
        ]
        ball = (squares[0][:, None, None] + squares[1][:, None] + squares[2]) < 1
        image = torch.where(ball & inside, torch.tensor(random.uniform(0, 1)), image)
    return image
