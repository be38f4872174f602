"""Training images made from label maps: every structure gets a random contrast, so no MR image is needed.

After the idea of SynthSeg (Billot et al., Medical Image Analysis 2023): a network that has seen every contrast,
resolution and artefact reads any sequence. A sample is made in four steps, each its own function: where the
patch lies (`sample_space`), what the tissue looks like (`paint`), what the scanner does to it (`acquire`), and
what part of the patient was scanned (`field_of_view`). All arrays are [Z, Y, X] on the bodies' grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from LiverMRISegLib.anatomy import IGNORE, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, organ_named
from LiverMRISegLib.data.bodies import ORGAN_VALUES, STRUCTURES, Body, Tissue
from LiverMRISegLib.data.contrast_priors import draw_contrast
from LiverMRISegLib.inference.normalisation import normalise
from LiverMRISegLib.models.specification import PreparationSpec

_LARGE_ORGANS = tuple(ORGAN_VALUES.value_of(o) for o in (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN))
_PARCELLED = (Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT, Tissue.VISCERAL_FAT)


@dataclass(frozen=True)
class RandomizationConfig:
    """How far the generator strays; mm, degrees, and intensities where a painted image spans 0 to 1.

    `family_probability`: how often the contrast is drawn around a family of MR sequences (`contrast_priors`)
    rather than from anywhere. `slice_gain`: how unevenly bright neighbouring slices are, at most.
    """

    patch: tuple[int, int, int] = (80, 96, 96)
    spacing: float = 3.0
    rotation: float = 15.0
    scale: tuple[float, float] = (0.8, 1.2)
    shear: float = 0.1
    deformation: float = 12.0
    deformation_grid: int = 7
    texture: float = 0.5
    lesion_probability: float = 0.3
    vessel_probability: float = 0.6
    family_probability: float = 0.7
    bias: float = 0.6
    slice_thickness: tuple[float, float] = (3.0, 10.0)
    thick_probability: float = 0.8
    noise: float = 0.08
    gamma: float = 0.6
    slice_gain: float = 0.15
    crop_probability: float = 0.6
    shortest_field_of_view: float = 60.0


@dataclass(frozen=True)
class Sample:
    """`image` float32 [Z, Y, X], normalised as `preparation` says; `labels` uint8, IGNORE where truth is unknown."""

    image: np.ndarray
    labels: np.ndarray


class SampleMaker:
    """Makes samples of chosen `organs` (label values 1, 2, ... in that order); the same seed gives the same sample."""

    def __init__(self, organs: Sequence[str], config: RandomizationConfig, preparation: PreparationSpec) -> None:
        self.config = config
        self.preparation = preparation
        self._targets = np.zeros(STRUCTURES, np.uint8)
        for value, name in enumerate(organs, start=1):
            self._targets[ORGAN_VALUES.value_of(organ_named(name))] = value
        self._targets[Tissue.UNCERTAIN] = IGNORE

    def make(self, body: Body, seed: int) -> Sample:
        """One sample of `body`. Torch's generator is local, so workers and resumed runs repeat it exactly."""
        random = Random(seed)
        structures, texture = sample_space(body, self.config, random)
        image = paint(structures, texture, self.config, random)
        box = field_of_view(structures, self.config, random)
        scanned = normalise(acquire(image[box], self.config, random).numpy(), self.preparation)
        padded = np.full(image.shape, scanned.min(), np.float32)
        padded[box] = scanned
        labels = np.zeros(image.shape, np.uint8)
        labels[box] = self._targets[structures.numpy()[box]]
        return Sample(padded, labels)


class Random:
    """A seeded source of numbers and smooth fields."""

    def __init__(self, seed: int) -> None:
        self.numbers = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return float(self.numbers.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.numbers.random() < probability)

    def noise(self, shape: Sequence[int]) -> torch.Tensor:
        """Independent standard normal numbers."""
        return torch.randn(*shape, generator=self._torch)

    def field(self, shape: Sequence[int], cell: float, channels: int = 1) -> torch.Tensor:
        """A smooth field [channels, Z, Y, X] of about unit variance whose features are `cell` voxels wide."""
        coarse = [max(2, round(n / cell) + 1) for n in shape]
        return _resized(self.noise((channels, *coarse)), shape)


def _resized(array: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return F.interpolate(array[None], size=tuple(shape), mode="trilinear", align_corners=True)[0]


def sample_space(body: Body, config: RandomizationConfig, random: Random) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A patch of the body, turned, scaled, sheared and bent: structures (uint8) and CT texture (float, 0 to 255)."""
    grid = _coordinates(body, config, random)
    structures = torch.from_numpy(body.structures)[None, None].float()
    sampled = F.grid_sample(structures, grid, mode="nearest", align_corners=True)[0, 0].to(torch.uint8)
    if body.texture is None:
        return sampled, None
    texture = torch.from_numpy(body.texture)[None, None].float()
    return sampled, F.grid_sample(texture, grid, mode="bilinear", align_corners=True)[0, 0]


def _coordinates(body: Body, config: RandomizationConfig, random: Random) -> torch.Tensor:
    """Where each voxel of the patch comes from: [1, Z, Y, X, 3] in grid_sample's (x, y, z) from -1 to 1."""
    matrix = _affine(config, random) * (config.spacing / body.spacing)
    centre = _centre(body, random)
    control = (config.deformation_grid,) * 3
    axes = [torch.linspace(-(n - 1) / 2, (n - 1) / 2, c) for n, c in zip(config.patch, control, strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    bend = random.noise((3, *control)) * (random.uniform(0, config.deformation) / body.spacing)
    moved = torch.einsum("ij,jzyx->izyx", torch.from_numpy(matrix).float(), points) + bend
    moved += torch.tensor(centre).float()[:, None, None, None]
    size = torch.tensor(body.structures.shape)[:, None, None, None]
    unit = 2 * moved / (size - 1) - 1
    return _resized(unit, config.patch).flip(0).permute(1, 2, 3, 0)[None]


def _affine(config: RandomizationConfig, random: Random) -> np.ndarray:
    matrix = np.diag([random.uniform(*config.scale) for _ in range(3)]) * random.uniform(0.9, 1.1)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.deg2rad(random.uniform(-config.rotation, config.rotation))
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    shear = np.eye(3)
    shear[~np.eye(3, dtype=bool)] = random.numbers.uniform(-config.shear, config.shear, 6)
    return matrix @ shear


def _centre(body: Body, random: Random) -> np.ndarray:
    """A point near a large organ, so that most patches show what is to be learnt."""
    organ = _LARGE_ORGANS[int(random.numbers.integers(len(_LARGE_ORGANS)))]
    points = np.argwhere(body.structures[::2, ::2, ::2] == organ) * 2
    middle = np.array(body.structures.shape) / 2
    point = points[int(random.numbers.integers(len(points)))] if len(points) else middle
    weight = np.array([0.8, 0.4, 0.4]) * random.uniform(0.3, 1.0)
    return weight * point + (1 - weight) * middle


def paint(
    structures: torch.Tensor, texture: torch.Tensor | None, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """Give each structure a mean and a texture; returns an image [Z, Y, X] of about 0 to 1."""
    shape = structures.shape
    index = structures.int()
    parcels = _parcels(structures, random)
    means = torch.from_numpy(_contrasts(random, config.family_probability)).float()
    image = means[parcels, index] if parcels is not None else means[0][index]
    if texture is not None:
        image = image + _ct_texture(structures, texture, config, random)
    spread = torch.from_numpy(random.numbers.uniform(0, 0.08, STRUCTURES)).float()
    grain = random.field(shape, random.uniform(2, 5))[0] + 0.7 * random.field(shape, random.uniform(6, 16))[0]
    image = image + spread[index] * grain
    organs = (structures > 0) & (structures < Tissue.SUBCUTANEOUS_FAT)
    if random.chance(config.vessel_probability):
        image = _with_vessels(image, organs, random)
    if random.chance(config.lesion_probability):
        image = _with_lesions(image, structures, config, random)
    return image.clamp_(0, 1.5)


def _parcels(structures: torch.Tensor, random: Random) -> torch.Tensor:
    """Split bowel, mesentery and other unlabelled tissue into patches of differing contrast; 0 elsewhere."""
    fields = random.field(structures.shape, random.uniform(5, 14), channels=2)
    patches = 1 + (fields[0] > 0).int() + 2 * (fields[1] > 0).int() + 4 * ((fields[0] * fields[1]).abs() > 0.4).int()
    split = [t for t in _PARCELLED if random.chance(0.3 if t == Tissue.VISCERAL_FAT else 0.85)]
    if random.chance(0.3):
        split.append(Tissue.WALL_MUSCLE)
    table = torch.zeros(STRUCTURES, dtype=torch.int32)
    table[[int(t) for t in split]] = 1
    return patches * table[structures.int()]


def _contrasts(random: Random, family_probability: float) -> np.ndarray:
    """Mean intensity [parcel, structure]; parcels of a tissue differ among each other."""
    n = random.numbers
    means = n.uniform(0.05, 1.0, (9, STRUCTURES))
    means[0] = draw_contrast(n) if random.chance(family_probability) else _any_contrast(means[0], random)
    means[1:] = means[0] * 0.6 + means[1:] * 0.4
    means[:, Tissue.AIR] = n.uniform(0, 0.05)
    means[:, [Tissue.GAS, Tissue.LUNG]] = n.uniform(0, 0.15, 2)
    fat = means[0, Tissue.VISCERAL_FAT]
    means[1:, Tissue.VISCERAL_FAT] = fat + 0.3 * (means[1:, Tissue.VISCERAL_FAT] - 0.5)
    return np.clip(means, 0, 1)


def _any_contrast(common: np.ndarray, random: Random) -> np.ndarray:
    """Anything goes, but both kidneys are alike, fat is mostly bright or suppressed, and muscle mostly dark."""
    n = random.numbers
    kidney = common[_LARGE_ORGANS[1]]
    common[_LARGE_ORGANS[1]], common[_LARGE_ORGANS[2]] = kidney, np.clip(kidney + n.normal(0, 0.03), 0.03, 1)
    fat = random.uniform(0.55, 1.0) if random.chance(0.5) else random.uniform(0.03, 0.35)
    common[[Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]] = np.clip(fat + n.normal(0, 0.05, 2), 0.02, 1)
    if random.chance(0.5):
        common[Tissue.SKELETON] = np.clip(fat * random.uniform(0.3, 1.0), 0.02, 1)
    if random.chance(0.7):
        common[Tissue.WALL_MUSCLE] = random.uniform(0.08, 0.45)
    if random.chance(0.35):  # the hard case: the liver as bright as its neighbour
        neighbour = int(n.choice([Tissue.WALL_MUSCLE, Tissue.INNER_SOFT, _LARGE_ORGANS[3], _LARGE_ORGANS[1]]))
        common[neighbour] = np.clip(common[_LARGE_ORGANS[0]] + n.normal(0, 0.06), 0.02, 1)
    return common


def _ct_texture(
    structures: torch.Tensor, texture: torch.Tensor, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """What varies inside each structure in the CT (vessels, bowel walls, renal cortex), by a random gain and sign."""
    flat = structures.flatten().long()
    count = torch.bincount(flat, minlength=STRUCTURES).clamp(min=1)
    mean = torch.bincount(flat, weights=texture.flatten(), minlength=STRUCTURES).float() / count
    gain = torch.from_numpy(random.numbers.normal(0, config.texture, STRUCTURES)).float()
    gain[int(Tissue.AIR)] = 0
    index = structures.int()
    return ((texture - mean[index]) / 85.0).clamp_(-1, 1) * gain[index]


def _with_vessels(image: torch.Tensor, organs: torch.Tensor, random: Random) -> torch.Tensor:
    """Thin curved tubes, where two smooth fields are both near zero, brighter or darker than the organ."""
    fields = random.field(image.shape, random.uniform(4, 10), channels=2)
    tube = (fields.square().sum(0) < random.uniform(0.005, 0.05)) & organs
    return torch.where(tube, image + random.uniform(-0.5, 0.6), image)


def _with_lesions(
    image: torch.Tensor, structures: torch.Tensor, config: RandomizationConfig, random: Random
) -> torch.Tensor:
    """Round lesions of 4 to 25 mm radius in the large organs: cysts, metastases, tumours keep the organ's label."""
    inside = torch.isin(structures, torch.tensor(_LARGE_ORGANS, dtype=torch.uint8))
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


def field_of_view(structures: torch.Tensor, config: RandomizationConfig, random: Random) -> tuple[slice, slice, slice]:
    """The box that was scanned; the rest of the patch is padding, as around a small volume at inference."""
    box = [slice(0, n) for n in structures.shape]
    for axis, probability in ((0, config.crop_probability), (1, 0.25), (2, 0.25)):
        if random.chance(probability):
            n = structures.shape[axis]
            shortest = config.shortest_field_of_view * (1 if axis == 0 else 2.5) / config.spacing
            length = int(random.uniform(min(shortest, n - 1), n))
            start = int(random.numbers.integers(0, n - length + 1))
            box[axis] = slice(start, start + length)
    return (box[0], box[1], box[2])


def acquire(image: torch.Tensor, config: RandomizationConfig, random: Random) -> torch.Tensor:
    """Gamma, coil shading, blur, thick slices in any plane, and Rician noise at the scanned resolution."""
    shape = image.shape
    image = image ** float(np.exp(random.uniform(-config.gamma, config.gamma)))
    shading = random.field(shape, max(shape) / random.uniform(1.5, 4.0))[0]
    image = image * torch.exp(random.uniform(0, config.bias) * shading)
    image = _blurred(image, random)
    image = F.interpolate(image[None, None], size=_scanned_shape(shape, config, random), mode="area")
    if config.slice_gain > 0 and random.chance(0.4):
        # Slices scanned one by one, in different breaths: each is a little brighter or darker than its neighbours.
        image = image * torch.exp(random.uniform(0, config.slice_gain) * random.noise((1, 1, image.shape[2], 1, 1)))
    level = random.uniform(0, config.noise)
    noisy = (image + level * random.noise(image.shape)).square() + (level * random.noise(image.shape)).square()
    return F.interpolate(noisy.sqrt(), size=tuple(shape), mode="trilinear", align_corners=False)[0, 0]


def _blurred(image: torch.Tensor, random: Random) -> torch.Tensor:
    """Mix with a 3 x 3 x 3 mean: edges at this resolution are partial volumes of finer ones."""
    smooth = F.avg_pool3d(image[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    share = random.uniform(0, 1)
    return share * smooth + (1 - share) * image


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
