"""Real volumes made worse in known ways, to measure how far a model can be pushed before it fails.

A corruption takes image and reference through the same change of geometry, and the image through its change of
intensity. Volumes are in LPS order (`volume.reorient`), arrays [Z, Y, X]; nothing is changed in place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.preparation.intensity import from_darkest, with_gamma
from LiverMRISegLib.preparation.normalisation import AIR_SHARE
from LiverMRISegLib.volume import Geometry, Volume

Pair = tuple[Volume, Volume]
NOISE = (0.05, 0.1, 0.2)
BIAS = (0.3, 0.6, 1.0)
THICKNESSES_MM = (5.0, 7.0, 10.0, 13.0, 16.0)
ANGLES = (10.0, 20.0, 30.0)
SLABS_MM = (80.0, 60.0, 40.0)
INVERSIONS = (0.25, 0.75, 1.0)
GAMMAS = (0.5, 0.7, 1.5, 2.0)


@dataclass(frozen=True)
class Corruption:
    """`kind` and `strength` (with its unit) for the table; `apply(image, reference)` gives the changed pair."""

    kind: str
    strength: str
    apply: Callable[[Volume, Volume], Pair]


CLEAN = Corruption("clean", "", lambda image, reference: (image, reference))


def corruptions(image: Volume) -> list[Corruption]:
    """Every kind at every strength for one image in LPS order; random numbers are seeded by the image's name."""
    slices, spacing = image.geometry.size[2], image.geometry.spacing[2]
    return [
        CLEAN,
        *(_drawn("noise", share, with_noise) for share in NOISE),
        *(_drawn("bias field", strength, with_bias) for strength in BIAS),
        *(_moved("slices", f"{mm:g} mm", partial(thicker, thickness=mm)) for mm in thicknesses_above(spacing)),
        *(_turned(axis, angle) for axis in range(3) for angle in ANGLES),
        *(Corruption("slab", f"{mm:g} mm", partial(slab, length=mm)) for mm in SLABS_MM if mm < spacing * slices),
        *(_seen("inversion", share, partial(inverted, share=share)) for share in INVERSIONS),
        *(_seen("gamma", gamma, partial(with_gamma, gamma=gamma)) for gamma in GAMMAS),
    ]


def corrupted(image: Volume, reference: Volume, count: int, random: np.random.Generator) -> tuple[Pair, str]:
    """The pair after `count` corruptions of different kinds one after another, and what they were, in words."""
    taken: list[Corruption] = []
    for _ in range(count):
        left = [c for c in corruptions(image) if c.kind not in (CLEAN.kind, *(t.kind for t in taken))]
        kinds = sorted({c.kind for c in left})
        kind = kinds[random.integers(len(kinds))]
        strengths = [c for c in left if c.kind == kind]
        taken.append(strengths[random.integers(len(strengths))])
        image, reference = taken[-1].apply(image, reference)
    return (image, reference), ", ".join(f"{c.kind} {c.strength}" for c in taken) or CLEAN.kind


def strongest(found: Sequence[Corruption]) -> list[Corruption]:
    """Of each kind the last, which is the strongest, in the same order."""
    return list({corruption.kind: corruption for corruption in found}.values())


def thicknesses_above(spacing: float) -> list[float]:
    """The three smallest of THICKNESSES_MM that are clearly thicker than the slices already are."""
    return [t for t in THICKNESSES_MM if t > 1.2 * spacing][:3]


def _seen(kind: str, strength: float, change: Callable[[Volume], Volume]) -> Corruption:
    return Corruption(kind, f"{strength:g}", lambda image, reference: (change(image), reference))


def _drawn(kind: str, strength: float, change: Callable[[Volume, float, np.random.Generator], Volume]) -> Corruption:
    def changed(image: Volume) -> Volume:
        """With the same random numbers for the same volume in every run."""
        return change(image, strength, np.random.default_rng(zlib.crc32(f"{image.name} {kind}".encode())))

    return _seen(kind, strength, changed)


def _moved(kind: str, strength: str, change: Callable[..., Volume]) -> Corruption:
    return Corruption(kind, strength, lambda image, reference: (change(image), change(reference, nearest=True)))


def _turned(axis: int, degrees: float) -> Corruption:
    change = partial(rotated, axis=axis, degrees=degrees)
    return _moved(f"rotation about {'xyz'[axis]}", f"{degrees:g} degrees", change)


def with_noise(image: Volume, share: float, random: np.random.Generator) -> Volume:
    """Rician noise: Gaussian of `share` of the brightest tissue (99th percentile) in both channels."""
    array, level = from_darkest(image)
    real, imaginary = random.normal(0, share * level, (2, *array.shape))
    return replace(image, array=np.hypot(array + real, imaginary).astype(np.float32))


def with_bias(image: Volume, strength: float, random: np.random.Generator) -> Volume:
    """Multiplied by exp(strength * field): a smooth field of long cosines between -1 and 1."""
    array, _ = from_darkest(image)
    field = np.zeros(array.shape, np.float32)
    for _ in range(4):
        waves = [
            np.cos(np.pi * random.uniform(0.3, 1.2) * np.linspace(0, 1, n) + random.uniform(0, 2 * np.pi))
            for n in array.shape
        ]
        field += random.normal() * waves[0][:, None, None] * waves[1][:, None] * waves[2]
    field -= field.mean()
    field /= max(float(np.abs(field).max()), 1e-6)
    return replace(image, array=array * np.exp(strength * field))


def inverted(image: Volume, share: float) -> Volume:
    """`share` of the inverted image mixed with the rest of the image itself; air stays dark. 1 is the negative."""
    array, level = from_darkest(image)
    tissue = array > AIR_SHARE * level
    mixed = (1 - share) * array + share * np.maximum(level - array, 0)
    return replace(image, array=np.where(tissue, mixed, array).astype(np.float32))


def thicker(volume: Volume, thickness: float, *, nearest: bool = False) -> Volume:
    """Slices of about `thickness` mm over the same extent along z, on a grid of their own.

    An image's new slice is the mean of the old ones it covers, by their overlap; a label map's is the nearest old one.
    """
    old = volume.geometry
    new = old.with_spacing((old.spacing[0], old.spacing[1], thickness))
    edges = np.linspace(0, old.size[2], new.size[2] + 1)
    if nearest:
        middle = np.minimum(((edges[:-1] + edges[1:]) / 2).astype(int), old.size[2] - 1)
        return Volume(volume.array[middle], new, volume.name)
    starts = np.arange(old.size[2])
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights = np.maximum(overlap, 0) / (edges[1] - edges[0])
    return Volume(np.tensordot(weights, volume.array.astype(np.float32), 1).astype(np.float32), new, volume.name)


def rotated(volume: Volume, axis: int, degrees: float, *, nearest: bool = False) -> Volume:
    """The patient turned about world axis 0 (x), 1 (y) or 2 (z) through the grid's middle, on the same grid.

    Clockwise where the axis points at the viewer: about z the left side goes to the front. What is turned in from
    outside is as dark as the darkest voxel.
    """
    import SimpleITK as sitk

    image = volume.to_sitk()
    turn = sitk.Euler3DTransform()
    turn.SetCenter(volume.geometry.world_of([(n - 1) / 2 for n in volume.geometry.size]))
    turn.SetRotation(*(float(np.deg2rad(degrees)) if a == axis else 0.0 for a in range(3)))
    interpolator = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    fill = 0.0 if nearest else float(volume.array.min())
    return replace(volume, array=sitk.GetArrayFromImage(sitk.Resample(image, image, turn, interpolator, fill)))


def slab(image: Volume, reference: Volume, length: float) -> Pair:
    """About `length` mm along z around the middle of what the reference labels; UsageError if that is nothing."""
    labelled = np.flatnonzero((reference.array > 0).any(axis=(1, 2)))
    if not len(labelled):
        raise UsageError(f"{reference.name}: contains no labels, so there is no slab to choose")
    total = image.geometry.size[2]
    count = min(total, max(1, round(length / image.geometry.spacing[2])))
    start = min(max(0, round((labelled[0] + labelled[-1] + 1 - count) / 2)), total - count)
    return _slices(image, start, count), _slices(reference, start, count)


def _slices(volume: Volume, start: int, count: int) -> Volume:
    size = volume.geometry.size
    geometry: Geometry = volume.geometry.cropped((0, 0, start), (size[0], size[1], count))
    return Volume(volume.array[start : start + count], geometry, volume.name)
