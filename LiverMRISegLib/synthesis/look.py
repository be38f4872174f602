"""What organs and diseases add to the look of painted tissue; labels stay as they are.

Images are float32 [Z, Y, X] of about 0 to 1 on structure maps uint8 [Z, Y, X] (`structure_maps`). Every addition is a
function of its own with a probability of its own; 0 omits it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from LiverMRISegLib.anatomy import LEFT_KIDNEY, LIVER, PANCREAS, RIGHT_KIDNEY, SPLEEN, STOMACH
from LiverMRISegLib.synthesis.config import LookConfig
from LiverMRISegLib.synthesis.lesions import with_focal_lesions
from LiverMRISegLib.synthesis.randomness import Random, box_around, box_mean
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, STRUCTURES, Tissue
from LiverMRISegLib.synthesis.vessels import with_vessel_trees

_LIVER, _SPLEEN, _PANCREAS, _STOMACH = (ORGAN_VALUES.value_of(o) for o in (LIVER, SPLEEN, PANCREAS, STOMACH))
# Strength of the patterns within organs, at most.
_TEXTURE_STRENGTH = 0.35
_LIVER_LIKE = (
    (Tissue.INNER_SOFT, 0.6),
    (Tissue.BRIGHT_CONTENT, 0.5),
    (Tissue.VISCERAL_FAT, 0.3),
    (Tissue.HEART, 0.5),
    (_STOMACH, 0.4),
    (_SPLEEN, 0.25),
)
# Tissues of many kinds, or about which a map says no more: painted in parcels of differing contrast.
PARCELLED = (Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT, Tissue.VISCERAL_FAT)
_KIDNEYS = tuple(ORGAN_VALUES.value_of(o) for o in (RIGHT_KIDNEY, LEFT_KIDNEY))


def change_contrast(means: np.ndarray, config: LookConfig, random: Random) -> np.ndarray:
    """The mean intensities [parcel, structure], of bowel, with iron, with little contrast; a new array if changed."""
    apart = random.addition("calm bowel", config.calm_bowel)
    if apart is not None:
        means = with_calm_bowel(means, apart)
    apart = random.addition("iron", config.iron)
    if apart is not None:
        means = with_iron(means, apart)
    apart = random.addition("isointense", config.isointense)
    if apart is not None:
        means = isointense(means, apart)
    apart = random.addition("liver-like", config.liver_like)
    return with_liver_like_neighbours(means, apart) if apart is not None else means


def change_look(
    image: torch.Tensor, structures: torch.Tensor, spacing: float, config: LookConfig, random: Random
) -> torch.Tensor:
    """All additions to the painted image in turn."""
    steps: tuple[tuple[str, float, Callable[[torch.Tensor, Random], torch.Tensor]], ...] = (
        ("kidney pattern", config.kidney_pattern, lambda i, r: with_kidney_pattern(i, structures, r)),
        ("organ texture", config.organ_texture,
         lambda i, r: with_organ_texture(i, structures, spacing, _TEXTURE_STRENGTH, r)),
        ("vessel trees", config.vessel_trees, lambda i, r: with_vessel_trees(i, structures, spacing, r)),
        ("focal lesions", config.focal_lesions, lambda i, r: with_focal_lesions(i, structures, spacing, r)),
        ("stomach level", config.stomach_level, lambda i, r: with_stomach_level(i, structures, r)),
        ("lung vessels", config.lung_vessels, lambda i, r: with_lung_vessels(i, structures, r)),
    )  # fmt: skip
    for name, probability, change in steps:
        apart = random.addition(name, probability)
        if apart is not None:
            image = change(image, apart)
    return image


def with_calm_bowel(means: np.ndarray, random: Random) -> np.ndarray:
    """Every parcel of bowel, content and fat a factor away from its tissue's mean, mostly within a third of it."""
    calm = means.copy()
    factors = np.exp(random.numbers.normal(0, 0.3, (len(means) - 1, len(PARCELLED))))
    calm[1:, list(PARCELLED)] = np.clip(means[0, list(PARCELLED)] * factors, 0.02, 1)
    return calm


def with_iron(means: np.ndarray, random: Random) -> np.ndarray:
    """Iron: the liver darker than muscle, seldom as bright; mostly spleen and marrow too, now and then the pancreas."""
    dark = means.copy()
    muscle = float(means[0, Tissue.WALL_MUSCLE])
    level = max(0.02, muscle * random.uniform(0.3, 1.1))
    for value, chance in ((_LIVER, 1.0), (_SPLEEN, 0.7), (int(Tissue.SKELETON), 0.6), (_PANCREAS, 0.3)):
        if random.chance(chance):
            dark[:, value] = level * random.uniform(0.8, 1.2)
    return dark


def isointense(means: np.ndarray, random: Random) -> np.ndarray:
    """The liver nearly as bright as muscle, unknown soft tissue or fat; fat and muscle are alike where fat is dark."""
    alike = means.copy()
    neighbour = int(random.numbers.choice([Tissue.WALL_MUSCLE, Tissue.INNER_SOFT, Tissue.VISCERAL_FAT]))
    level = float(means[0, neighbour])
    alike[:, _LIVER] = np.clip(level + random.numbers.normal(0, 0.04) + 0.02, 0.02, 1)
    return alike


def with_liver_like_neighbours(means: np.ndarray, random: Random) -> np.ndarray:
    """Some of the liver's neighbours nearly as bright as it, each parcel of them differently: shape must tell."""
    alike = means.copy()
    for value, chance in _LIVER_LIKE:
        if random.chance(chance):
            alike[:, value] = np.clip(means[0, _LIVER] * random.numbers.uniform(0.7, 1.15, len(means)), 0.02, 1)
    return alike


def with_kidney_pattern(image: torch.Tensor, structures: torch.Tensor, random: Random) -> torch.Tensor:
    """Cortex, pyramids and pelvis of each kidney, the same contrast in both, by depth below the surface."""
    cortex, medulla, pelvis = random.uniform(-0.1, 0.3), random.uniform(-0.25, 0.15), random.uniform(-0.5, 0.6)
    rim, middle, cell = random.uniform(0.7, 0.85), random.uniform(0.93, 1.0), random.uniform(3, 6)
    result = image.clone()
    for value in _KIDNEYS:
        box = box_around(structures == value, 2)
        if box is None:
            continue
        kidney = structures[box] == value
        depth = box_mean(kidney.float(), 5)
        lobes = random.field(depth.shape, cell)[0]
        offset = cortex * (depth < rim).float() + medulla * ((depth >= rim) & (lobes > 0)).float()
        offset += pelvis * ((depth >= middle) & (lobes < -0.3)).float()
        result[box] = result[box] + torch.where(kidney, offset, torch.zeros(()))
    return result.clamp_(0, 1.5)


def with_organ_texture(
    image: torch.Tensor, structures: torch.Tensor, spacing: float, strength: float, random: Random
) -> torch.Tensor:
    """Every structure multiplied by a pattern of its own strength: grains, patches, and dark seams between nodules."""
    shape = image.shape
    fine = random.noise(shape) if random.chance(0.4) else random.field(shape, random.uniform(1.5, 2.5))[0]
    coarse = random.field(shape, random.uniform(12, 40) / spacing)[0]
    seams = random.field(shape, random.uniform(6, 15) / spacing)[0].abs() - 0.8
    table = torch.from_numpy(random.numbers.uniform(-1, 1, (3, STRUCTURES)) * random.uniform(0.2, 1.0)).float()
    table *= strength * torch.tensor([0.4, 0.6, 0.4])[:, None]
    table[:, Tissue.AIR] = 0
    # Steatosis and cirrhosis are of the liver; elsewhere the patterns are half as strong.
    table[:, [i for i in range(STRUCTURES) if i != _LIVER]] *= 0.5
    index = structures.int()
    return image * torch.exp(
        (table[0][index] * fine + table[1][index] * coarse + table[2][index] * seams).clamp_(-1, 1)
    )


def with_stomach_level(image: torch.Tensor, structures: torch.Tensor, random: Random) -> torch.Tensor:
    """Gas in front (the patient lies on the back), content behind, of another brightness than the stomach had."""
    box = box_around(structures == _STOMACH, 0)
    if box is None:
        return image
    stomach = structures[box] == _STOMACH
    inner = stomach & (box_mean(stomach.float(), 3) > 0.9) if random.chance(0.5) else stomach
    rows = torch.arange(stomach.shape[1]).float()[:, None].expand(stomach.shape)
    gas = inner & (rows < random.uniform(0.0, 0.7) * stomach.shape[1])
    result = image.clone()
    part = torch.where(inner, torch.tensor(random.uniform(0, 1)), result[box])
    result[box] = torch.where(gas, torch.tensor(random.uniform(0, 0.08)), part)
    return result


def with_lung_vessels(image: torch.Tensor, structures: torch.Tensor, random: Random) -> torch.Tensor:
    """Bright spots and threads in the lungs, where two smooth fields are both near zero."""
    box = box_around(structures == Tissue.LUNG, 0)
    if box is None:
        return image
    lung = structures[box] == Tissue.LUNG
    fields = random.field(lung.shape, random.uniform(2, 5), channels=2)
    thread = lung & (fields.square().sum(0) < random.uniform(0.02, 0.15))
    result = image.clone()
    result[box] = result[box] + torch.where(thread, torch.tensor(random.uniform(0.1, 0.5)), torch.zeros(()))
    return result
