"""Training images made from label maps: every structure gets a random contrast, so no MR image is needed.

After the idea of SynthSeg (Billot et al., Medical Image Analysis 2023): a network that has seen every contrast,
resolution and artefact reads any sequence. An image is made in steps, each its own function: where the patch is
(`sample_space`), how the patient differs from the structure map (`anatomy`), what the tissue looks like (`painting`,
`look`), what part of the patient was scanned and what the scanner does to it (`scanner`, `artefacts`). All arrays are
[Z, Y, X] on the structure maps' grid. The additions of `anatomy`, `look` and `scanner` are off unless a config
turns them on, each by its own probability; whether one is on changes nothing in what the others draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from LiverMRISegLib.anatomy import IGNORE, organ_named
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.preparation.normalisation import normalise
from LiverMRISegLib.synthesis.anatomy import StructuresAndTexture, change_anatomy, filled_as
from LiverMRISegLib.synthesis.artefacts import with_coil_end, with_fat_failure, wrapped
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.painting import LARGE_ORGANS, paint
from LiverMRISegLib.synthesis.randomness import Random, resized
from LiverMRISegLib.synthesis.scanner import acquire, field_of_view, jumped
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, STRUCTURES, StructureMap, Tissue

# The dome is where real livers are missed most: liver and spleen twice as often as a kidney.
_CENTRES = (*LARGE_ORGANS, LARGE_ORGANS[0], LARGE_ORGANS[3])
_PLANES = ((0, 1), (0, 2), (1, 2))
# Control points of the deformation along each axis; the tilt of oblique slices in degrees and the share of air beside
# the patch, at most.
_DEFORMATION_GRID = 7
_OBLIQUE_ANGLE = 40.0
_MARGIN_SHARE = 0.5


@dataclass(frozen=True)
class SyntheticImage:
    """`image` float32 [Z, Y, X], normalised as `preparation` says; `labels` uint8, IGNORE where truth is unknown.

    `unlabelled`: values of organs that may be anywhere in the background.
    """

    image: np.ndarray
    labels: np.ndarray
    unlabelled: tuple[int, ...] = ()


class ImageMaker:
    """Makes images of chosen `organs` (label values 1, 2, ... in that order); the same seed gives the same image.

    `others`: structure maps whose bowel and fat an image may show (`AnatomyConfig.filling`); without them it is that of
    the same body from another place.
    """

    def __init__(
        self,
        organs: Sequence[str],
        config: RandomizationConfig,
        preparation: PreparationSpec,
        others: Sequence[StructureMap] = (),
    ) -> None:
        self.config = config
        self.others = others
        self.preparation = preparation
        self._targets = np.zeros(STRUCTURES, np.uint8)
        for value, name in enumerate(organs, start=1):
            self._targets[ORGAN_VALUES.value_of(organ_named(name))] = value
        self._targets[Tissue.UNCERTAIN] = IGNORE

    def make(self, body: StructureMap, seed: int) -> SyntheticImage:
        """One image of `body`. Torch's generator is local, so workers and resumed runs repeat it exactly."""
        random = Random(seed)
        structures, texture = self._space(body, random)
        structures, texture = change_anatomy(structures, texture, self.config.spacing, self.config.anatomy, random)
        image = paint(structures, texture, self.config, random)
        part, box = self._scanned_part(image, structures, random)
        part, seen = jumped(part, structures[box], self.config, random)
        scanned = self._normalised(acquire(part, self.config, random).numpy(), random)
        padded = np.full(image.shape, scanned.min(), np.float32)
        padded[box] = scanned
        labels = np.zeros(image.shape, np.uint8)
        labels[box] = self._targets[seen.numpy()]
        return SyntheticImage(padded, labels, self._unlabelled(body))

    def _unlabelled(self, body: StructureMap) -> tuple[int, ...]:
        values = (int(self._targets[ORGAN_VALUES.value_of(organ)]) for organ in body.unlabelled)
        return tuple(value for value in values if value)

    def _normalised(self, image: np.ndarray, random: Random) -> np.ndarray:
        """As part of a volume that has more air around the body than the patch: inference normalises whole volumes."""
        apart = random.addition("margins", self.config.scanner.margins)
        if apart is None:
            return normalise(image, self.preparation)
        share = apart.uniform(0, _MARGIN_SHARE)
        air = np.full(int(image.size * share / (1 - share)), image.min(), image.dtype)
        return normalise(np.concatenate([image.ravel(), air]), self.preparation)[: image.size].reshape(image.shape)

    def _space(self, body: StructureMap, random: Random) -> StructuresAndTexture:
        """A patch of the body, now and then with the bowel and fat of another."""
        own = sample_space(body, self.config, random)
        apart = random.addition("filling", self.config.anatomy.filling)
        if apart is None:
            return own
        other = self.others[apart.integer(0, len(self.others) - 1)] if self.others else body
        return filled_as(own, sample_space(other, self.config, apart))

    def _scanned_part(
        self, image: torch.Tensor, structures: torch.Tensor, random: Random
    ) -> tuple[torch.Tensor, tuple[slice, slice, slice]]:
        """What the scanner sees of the patch, and the box of it within the patch."""
        # Asked again for the noise (`scanner`): an addition of one image is on everywhere or nowhere.
        if random.addition("clean", self.config.scanner.clean) is not None:
            image = torch.where(structures == Tissue.AIR, torch.zeros(()), image)
        apart = random.addition("fat failure", self.config.scanner.fat_failure)
        if apart is not None:
            image = with_fat_failure(image, structures, apart)
        apart = random.addition("coil end", self.config.scanner.coil_end)
        if apart is not None:
            image = with_coil_end(image, structures, self.config.spacing, apart)
        box = field_of_view(structures, self.config, random)
        apart = random.addition("wrap", self.config.scanner.wrap)
        return wrapped(image, box, apart) if apart is not None else (image[box], box)


def sample_space(body: StructureMap, config: RandomizationConfig, random: Random) -> StructuresAndTexture:
    """A patch of the body, turned, scaled, sheared and bent: structures (uint8) and CT texture (float, 0 to 255)."""
    grid = _coordinates(body, config, random)
    if random.addition("taller", config.anatomy.taller):
        grid[..., 2].clamp_(max=_highest(body.structures))
    structures = torch.from_numpy(body.structures)[None, None].float()
    sampled = F.grid_sample(structures, grid, mode="nearest", align_corners=True)[0, 0].to(torch.uint8)
    if body.texture is None:
        return sampled, None
    texture = torch.from_numpy(body.texture)[None, None].float()
    return sampled, F.grid_sample(texture, grid, mode="bilinear", align_corners=True)[0, 0]


def _highest(structures: np.ndarray) -> float:
    """Where, from -1 to 1 along z, the body ends and its last slice may be seen again; infinite if organs reach there.

    Most CT ends few centimetres above the dome, with half of the heart.
    """
    top = int(np.flatnonzero(structures.any(axis=(1, 2)))[-1])
    organs = np.isin(structures[top], LARGE_ORGANS).any()
    return math.inf if organs else 2 * top / (len(structures) - 1) - 1


def _coordinates(body: StructureMap, config: RandomizationConfig, random: Random) -> torch.Tensor:
    """Where each voxel of the patch comes from: [1, Z, Y, X, 3] in grid_sample's (x, y, z) from -1 to 1."""
    matrix = _affine(config, random) * (config.spacing / body.spacing)
    centre = _centre(body, random)
    control = (_DEFORMATION_GRID,) * 3
    axes = [torch.linspace(-(n - 1) / 2, (n - 1) / 2, c) for n, c in zip(config.patch, control, strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    bend = random.noise((3, *control)) * (random.uniform(0, config.deformation) / body.spacing)
    moved = torch.einsum("ij,jzyx->izyx", torch.from_numpy(matrix).float(), points) + bend
    moved += torch.tensor(centre).float()[:, None, None, None]
    size = torch.tensor(body.structures.shape)[:, None, None, None]
    unit = 2 * moved / (size - 1) - 1
    return resized(unit, config.patch).flip(0).permute(1, 2, 3, 0)[None]


def _affine(config: RandomizationConfig, random: Random) -> np.ndarray:
    matrix = np.diag([random.uniform(*config.scale) for _ in range(3)]) * random.uniform(0.9, 1.1)
    for axes in _PLANES:
        matrix = matrix @ _turn(axes, random.uniform(-config.rotation, config.rotation))
    apart = random.addition("oblique", config.scanner.oblique)
    if apart is not None:
        matrix = matrix @ _turn(_PLANES[apart.integer(0, 2)], apart.uniform(-_OBLIQUE_ANGLE, _OBLIQUE_ANGLE))
    shear = np.eye(3)
    shear[~np.eye(3, dtype=bool)] = random.numbers.uniform(-config.shear, config.shear, 6)
    return matrix @ shear


def _turn(plane: tuple[int, int], degrees: float) -> np.ndarray:
    angle, (first, second) = np.deg2rad(degrees), plane
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    return turn


def _centre(body: StructureMap, random: Random) -> np.ndarray:
    """A point between the middle of the large organs and a voxel of one of them, so that most patches show all of them.

    From the middle of the body's map, which may reach down to the thighs, three patches of four would miss the
    liver's dome.
    """
    organs = np.isin(body.structures[::2, ::2, ::2], LARGE_ORGANS)
    middle = np.array(body.structures.shape) / 2
    slices = np.flatnonzero(organs.any(axis=(1, 2))) * 2
    if len(slices):
        middle[0] = (slices[0] + slices[-1]) / 2
    organ = _CENTRES[int(random.numbers.integers(len(_CENTRES)))]
    points = np.argwhere(body.structures[::2, ::2, ::2] == organ) * 2
    point = points[int(random.numbers.integers(len(points)))] if len(points) else middle
    weight = np.array([0.8, 0.4, 0.4]) * random.uniform(0.3, 1.0)
    return weight * point + (1 - weight) * middle
