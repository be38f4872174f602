"""A small torso as a structure map for the tests of the generator's rooms, at 6 mm."""

import numpy as np
import torch

from LiverMRISegLib.anatomy import CHAOS, GALLBLADDER, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, STOMACH
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, StructureMap, Tissue
from LiverMRISegLib.volume import Geometry, Volume

LIVER_VALUE, RIGHT_VALUE, LEFT_VALUE, SPLEEN_VALUE, STOMACH_VALUE, GALLBLADDER_VALUE = (
    ORGAN_VALUES.value_of(o) for o in (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN, STOMACH, GALLBLADDER)
)
SPACING = 6.0
SHAPE = (40, 44, 56)


def ball(centre, radii):
    grids = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grids, centre, radii, strict=True)) < 1


def torso() -> torch.Tensor:
    """LPS: x grows to the patient's left, y to the back, z to the head; the lungs lie on top."""
    s = np.zeros(SHAPE, np.uint8)
    s[ball((20, 22, 28), (999, 19, 25))] = Tissue.SUBCUTANEOUS_FAT
    s[ball((20, 22, 28), (999, 17, 23))] = Tissue.WALL_MUSCLE
    s[ball((20, 22, 28), (999, 15, 21))] = Tissue.INNER_SOFT
    s[ball((10, 20, 34), (6, 6, 6))] = Tissue.VISCERAL_FAT
    for x in (17, 39):
        s[ball((36, 22, x), (9, 13, 8))] = Tissue.LUNG
    s[:, 30:34, 26:31] = Tissue.SKELETON
    s[ball((8, 16, 24), (3, 3, 3))] = Tissue.GAS
    s[ball((23, 19, 19), (7, 9, 10))] = LIVER_VALUE
    s[ball((15, 15, 20), (3, 3, 2))] = GALLBLADDER_VALUE
    s[ball((23, 24, 42), (4, 5, 4))] = SPLEEN_VALUE
    s[ball((23, 14, 36), (4, 5, 4))] = STOMACH_VALUE
    s[ball((12, 28, 19), (5, 3, 3))] = RIGHT_VALUE
    s[ball((12, 28, 38), (5, 3, 3))] = LEFT_VALUE
    return torch.from_numpy(s)


def body(*, with_texture: bool = False) -> StructureMap:
    structures = torso().numpy()
    texture = np.random.default_rng(0).integers(0, 255, structures.shape).astype(np.uint8) if with_texture else None
    return StructureMap("torso", structures, texture, SPACING)


def label_map(direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))) -> Volume:
    """A liver and a right kidney, with values of CHAOS."""
    labels = np.zeros((30, 40, 50), np.uint8)
    labels[8:22, 10:30, 8:24] = CHAOS.value_of(LIVER)
    labels[8:16, 26:34, 12:20] = CHAOS.value_of(RIGHT_KIDNEY)
    return Volume(labels, Geometry((50, 40, 30), (6.0, 6.0, 6.0), direction=direction))
