"""nnU-Net's augmentations by MONAI's transforms (methods.md 10.1); inversion of contrast and deformation beside them.

A patch is drawn in two views: `weak`, which is only turned, scaled and mirrored, and `strong`, whose intensities
are changed as well. Everything is drawn from the generator that is handed in: the same seed gives the same patch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import set_track_meta
from monai.transforms import (
    Affine,
    Compose,
    GaussianSmooth,
    RandAdjustContrast,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandScaleIntensityFixedMean,
    RandSimulateLowResolution,
)

from LiverMRISegLib.data.elastic import deformed, elastic_margin
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Axis, Limits, NotNegative, Probability

Patch = tuple[int, int, int]
_Blur = Annotated[float, Limits(0, 20)]
_Factor = Annotated[float, Limits(0, 10)]
_GAMMA = (0.7, 1.5)  # nnU-Net's range
_KERNEL_REACH = 4.0  # of a blur, in deviations: MONAI's
_FLAT = 3.0  # a patch this many times wider than deep is turned within its slices only


@dataclass(frozen=True)
class AugmentationConfig(Checked):
    """nnU-Net's list with its own numbers; a probability of 0 turns an augmentation off."""

    rotation: Annotated[float, Limits(0, 180)] = 30.0
    """Degrees about each axis, at most; a flat patch is turned by up to 180 degrees within its slices."""
    rotation_probability: Probability = 0.2
    """How often patches are rotated."""
    scale: tuple[Annotated[float, Limits(0.1, 1)], Annotated[float, Limits(1, 10)]] = (0.7, 1.4)
    """Least and largest scale; enlarging and reducing are equally likely."""
    scale_probability: Probability = 0.2
    """How often patches are scaled."""
    mirror_axes: tuple[Axis, ...] = ()
    """Axes that patches are mirrored along: 0=Z, 1=Y, 2=X (in LPS order axis 2 exchanges left and right)."""
    noise: NotNegative = 0.316
    """Standard deviation of the noise, at most. MONAI draws it evenly, where nnU-Net draws its variance."""
    noise_probability: Probability = 0.1
    """How often noise is added."""
    blur: tuple[_Blur, _Blur] = (0.5, 1.0)
    """Least and largest standard deviation of the blur, in voxels."""
    blur_probability: Probability = 0.2
    """How often patches are blurred."""
    brightness: tuple[_Factor, _Factor] = (0.75, 1.25)
    """Least and largest factor of the intensities."""
    brightness_probability: Probability = 0.15
    """How often intensities are multiplied by a factor."""
    contrast: tuple[_Factor, _Factor] = (0.75, 1.25)
    """Least and largest factor of the contrast."""
    contrast_probability: Probability = 0.15
    """How often contrast is changed about the mean."""
    low_resolution_probability: Probability = 0.25
    """How often a lower resolution is simulated."""
    inverted_gamma_probability: Probability = 0.1
    """How often a gamma is applied to the inverted image."""
    gamma_probability: Probability = 0.3
    """How often a gamma is applied."""
    inversion: Probability = 0.0
    """How often the image's sign is turned (ours): the cheapest way to see T2's contrast in T1 images."""
    elastic_probability: Probability = 0.0
    """How often patches are deformed elastically (Simard et al. 2003), as much as MiDSS does; nnU-Net 2 never does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("blur", "brightness", "contrast"):
            low, high = getattr(self, name)
            if low > high:
                raise UsageError(f"{name}: the least value, {low}, is above the largest, {high}; exchange them")


@dataclass(frozen=True)
class Placement:
    """How a patch is cut from a case.

    `centre` voxel, `angles` in radians about Z, Y, X, `scale`, mirrored axes, and the seed of an elastic deformation.
    """

    centre: tuple[int, int, int]
    angles: tuple[float, float, float]
    scale: float
    mirrored: tuple[int, ...]
    deformation: int | None = None

    @property
    def is_straight(self) -> bool:
        """Whether nothing is turned or scaled."""
        return not any(self.angles) and self.scale == 1.0


class Augmenter:
    """Draws placements, cuts patches and changes intensities as the config says."""

    def __init__(self, config: AugmentationConfig, patch: Patch) -> None:
        self.config, self.patch = config, patch

    def place(self, centre: Sequence[int], random: np.random.Generator) -> Placement:
        """A placement around `centre`."""
        config = self.config
        angles, scale = (0.0, 0.0, 0.0), 1.0
        if random.random() < config.rotation_probability:
            angles = self._angles(random)
        if random.random() < config.scale_probability:
            # As nnU-Net: enlarging and reducing are equally likely.
            low, high = config.scale
            scale = float(random.uniform(low, 1.0) if random.random() < 0.5 else random.uniform(1.0, high))
        mirrored = tuple(axis for axis in config.mirror_axes if random.random() < 0.5)
        is_deformed = config.elastic_probability > 0 and random.random() < config.elastic_probability
        deformation = int(random.integers(2**31)) if is_deformed else None
        return Placement((int(centre[0]), int(centre[1]), int(centre[2])), angles, scale, mirrored, deformation)

    def _angles(self, random: np.random.Generator) -> tuple[float, float, float]:
        if max(self.patch) / self.patch[0] > _FLAT:
            return (float(random.uniform(-math.pi, math.pi)), 0.0, 0.0)
        limit = math.radians(self.config.rotation)
        z, y, x = random.uniform(-limit, limit, 3)
        return (float(z), float(y), float(x))

    def cut(self, array: np.ndarray, placement: Placement, *, is_labels: bool = False) -> torch.Tensor:
        """The patch [Z, Y, X] of `array` there; outside the array the least value of what is cut, or background."""
        set_track_meta(False)  # here and not once: worker processes begin without it
        margin = (0, 0, 0) if placement.deformation is None else elastic_margin(self.patch)
        wanted = tuple(n + 2 * m for n, m in zip(self.patch, margin, strict=True))
        size = wanted if placement.is_straight else _enlarged(wanted, placement)
        cut = _box(array, placement.centre, size, 0 if is_labels else None)
        if not placement.is_straight:
            turn = Affine(
                rotate_params=placement.angles,
                scale_params=(placement.scale,) * 3,
                spatial_size=wanted,
                mode="nearest" if is_labels else "bilinear",
                padding_mode="border",
                image_only=True,
            )
            cut = turn(torch.from_numpy(cut.astype(np.float32))[None])[0].numpy()
        if placement.deformation is not None:
            cut = deformed(cut, self.patch, placement.deformation, is_labels=is_labels)
        turned = np.flip(cut, placement.mirrored) if placement.mirrored else cut
        kind = np.uint8 if is_labels else np.float32
        return torch.from_numpy(np.ascontiguousarray(turned, dtype=kind))

    def change_intensities(self, image: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
        """The strong view [Z, Y, X] of a patch."""
        set_track_meta(False)
        seed = int(random.integers(2**31))
        changed = self._chain.set_random_state(seed)(image[None])[0]
        if random.random() < self.config.inversion:
            changed = changed.max() + changed.min() - changed
            changed = (changed - changed.mean()) / changed.std().clamp(min=1e-6) * image.std() + image.mean()
        return torch.as_tensor(changed, dtype=torch.float32)

    @cached_property
    def _chain(self) -> Compose:
        c = self.config
        steps: list[Callable[..., Any]] = [
            RandGaussianNoise(c.noise_probability, std=c.noise),
            _BlurToTheEdge(c.blur, c.blur, c.blur, c.blur_probability),
            RandScaleIntensity((c.brightness[0] - 1, c.brightness[1] - 1), c.brightness_probability),
            RandScaleIntensityFixedMean(
                c.contrast_probability, (c.contrast[0] - 1, c.contrast[1] - 1), preserve_range=True
            ),
            # MONAI's own default takes corners for centres on the way down alone: images would move against labels.
            RandSimulateLowResolution(c.low_resolution_probability, downsample_mode="nearest-exact"),
            RandAdjustContrast(c.inverted_gamma_probability, _GAMMA, invert_image=True, retain_stats=True),
            RandAdjustContrast(c.gamma_probability, _GAMMA, retain_stats=True),
        ]
        return Compose(steps)


class _BlurToTheEdge(RandGaussianSmooth):
    """MONAI's, with the outermost voxels repeated around the patch. MONAI puts zeros there, which are neither the air
    nor the tissue of a normalised image, and would stand at the faces of blurred patches."""

    def __call__(self, img: Any, randomize: bool = True) -> Any:
        """The image [C, Z, Y, X], blurred or as it is."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return img
        sigma = (self.x, self.y, self.z)
        reach = math.ceil(_KERNEL_REACH * max(sigma)) + 1
        around = F.pad(img[None], (reach,) * 6, mode="replicate")[0]
        inner = (slice(None), *(slice(reach, reach + size) for size in img.shape[1:]))
        return GaussianSmooth(sigma, self.approx)(around)[inner]


def _enlarged(patch: Sequence[int], placement: Placement) -> Patch:
    """The box that holds the turned and scaled patch, by its corners."""
    half = np.array(patch) / 2
    corners = np.array(list(itertools.product(*((-h, h) for h in half))))
    reach = np.abs(corners @ _rotation(placement.angles).T).max(0) * placement.scale
    z, y, x = (2 * math.ceil(r) + 2 for r in reach)
    return (z, y, x)


def _rotation(angles: Sequence[float]) -> np.ndarray:
    """The product of the turns about the three axes, in the senses that MONAI gives them."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (a for a in range(3) if a != axis)
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        sine = math.sin(angle) if axis != 1 else -math.sin(angle)
        turn[first, second], turn[second, first] = -sine, sine
        matrix = matrix @ turn
    return matrix


def _box(array: np.ndarray, centre: Sequence[int], size: Sequence[int], fill: float | None) -> np.ndarray:
    """The box of `size` around `centre`, padded with `fill` (None: the box's own minimum) beyond the array."""
    lower = [c - s // 2 for c, s in zip(centre, size, strict=True)]
    inside = tuple(
        slice(min(max(0, lo), n), max(0, min(n, lo + s))) for lo, s, n in zip(lower, size, array.shape, strict=True)
    )
    part = np.array(array[inside])
    around = [
        (s.start - lo, lo + n - s.stop) if s.stop > s.start else (0, n)
        for s, lo, n in zip(inside, lower, size, strict=True)
    ]
    if not any(before or after for before, after in around):
        return part
    value = fill if fill is not None else (part.min() if part.size else array.min())
    return np.pad(part, around, constant_values=value)
