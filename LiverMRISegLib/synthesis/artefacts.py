"""What goes wrong in a scan: fat that is not suppressed, coils that see the near side only, motion, ghosts, ringing.

Images are float32 [Z, Y, X] of about 0 to 1 in LPS order: y grows to posterior. Every addition is a function of its own
with a probability of its own; 0 omits it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from LiverMRISegLib.anatomy import LIVER
from LiverMRISegLib.synthesis.config import ScannerConfig
from LiverMRISegLib.synthesis.randomness import Random
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, Tissue

_LIVER = ORGAN_VALUES.value_of(LIVER)
# How far the additions go. A coil's brightness falls to this share at least, breathing moves by this many mm at most,
# and this share of k-space is kept.
_COIL_DARKEST = 0.15
_MOTION_SHIFT = 9.0
_KEPT_SHARE = (0.45, 0.85)
# Slices with gaps: mm from slice to slice. Jumping slices: their thickness, and the standard deviation of the jumps.
_SLICE_DISTANCE = (5.0, 13.0)
_JUMP_THICKNESS = (5.0, 10.0)
_JUMP = 5.0


def disturbed(image: torch.Tensor, spacing: float, config: ScannerConfig, random: Random) -> torch.Tensor:
    """The scanned image with coil shading, motion, ghosts and ringing, each by its own probability."""
    steps: tuple[tuple[str, float, Callable[[torch.Tensor, Random], torch.Tensor]], ...] = (
        ("coil", config.coil, lambda i, r: with_coil(i, _COIL_DARKEST, r)),
        ("motion", config.motion, lambda i, r: with_motion(i, _MOTION_SHIFT / spacing, r)),
        ("ghosting", config.ghosting, lambda i, r: with_ghosts(i, config.ghost_strength, r)),
        ("truncation", config.truncation, lambda i, r: truncated(i, _KEPT_SHARE, r)),
    )
    for name, probability, change in steps:
        apart = random.addition(name, probability)
        if apart is not None:
            image = change(image, apart)
    return image


def with_fat_failure(image: torch.Tensor, structures: torch.Tensor, random: Random) -> torch.Tensor:
    """Fat, and marrow by half, brought to one level where a smooth field is high: mostly on one side."""
    shape = image.shape
    field = random.field(shape, max(shape) / random.uniform(1.0, 3.0))[0]
    where = torch.sigmoid(random.uniform(2, 6) * (field - random.uniform(-0.3, 0.8)))
    fat = (structures == Tissue.SUBCUTANEOUS_FAT) | (structures == Tissue.VISCERAL_FAT)
    where = where * (fat + 0.5 * (structures == Tissue.SKELETON))
    return image + where * (random.uniform(0.5, 1.1) - image)


def with_coil_end(image: torch.Tensor, structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """Slices darker towards and beyond the liver's dome or tip, where a coil laid over the abdomen ends.

    In real T2 volumes the slices through the dome have a third to three quarters of the brightness of those below.
    """
    slices = (structures == _LIVER).flatten(1).any(1).nonzero()[:, 0]
    if len(slices) == 0:
        return image
    is_dome = random.chance(0.75)
    end = float(slices[-1 if is_dome else 0]) + random.uniform(-20, 10) / spacing * (1 if is_dome else -1)
    beyond = (torch.arange(image.shape[0]) - end) * (spacing if is_dome else -spacing)
    lowest = random.uniform(0.15, 0.6)
    gain = lowest + (1 - lowest) * torch.sigmoid(-beyond / random.uniform(3, 12))
    return image * gain[:, None, None]


def with_coil(image: torch.Tensor, darkest: float, random: Random) -> torch.Tensor:
    """Brightness that falls off exponentially from the front, back or a side, and towards the ends along z.

    The mean stays as it was, so that the noise added later keeps its share.
    """
    depth, height, width = image.shape
    axis = 1 if random.chance(0.7) else 2
    along = torch.linspace(0, 1, (depth, height, width)[axis])
    near = along if random.chance(0.5) else 1 - along
    lowest = random.uniform(darkest, 0.8)
    surface = lowest + (1 - lowest) * torch.exp(-random.uniform(1, 4) * near)
    shape = [1, 1, 1]
    shape[axis] = -1
    z = torch.linspace(-1, 1, depth) - random.uniform(-0.3, 0.3)
    reach = random.uniform(0.7, 1.6)
    ends = lowest + (1 - lowest) / (1 + (z / reach).abs() ** random.uniform(3, 8))
    shaded = image * surface.reshape(shape) * ends[:, None, None]
    return shaded * (image.mean() / shaded.mean().clamp(min=1e-6))


def with_motion(image: torch.Tensor, shift: float, random: Random) -> torch.Tensor:
    """A second image, moved along y or z by up to `shift` voxels, mixed in; its front moves, the spine does not.

    Several small moves give a blur, a single one doubled edges. The truth is the place that the most of the signal
    comes from, so the moved share stays below a half.
    """
    axis = 0 if random.chance(0.4) else 1
    far = random.uniform(1, max(1.0, shift)) * (1 if random.chance(0.5) else -1)
    moves = [far] if random.chance(0.5) else [-far, -0.5 * far, 0.5 * far, far]
    share = random.uniform(0.15, 0.45)
    still = torch.linspace(1, random.uniform(0, 0.6), image.shape[1])[:, None]
    moved = torch.stack([shifted(image, round(move), axis) for move in moves]).mean(0)
    return image + share * still * (moved - image)


def shifted(image: torch.Tensor, step: int, axis: int) -> torch.Tensor:
    """[Z, Y, X] moved by whole voxels along an axis, the edge repeated."""
    size = image.shape[axis]
    return image.index_select(axis, (torch.arange(size) - step).clamp(0, size - 1))


def with_ghosts(image: torch.Tensor, strength: float, random: Random) -> torch.Tensor:
    """Copies on either side, a fraction of the field of view away along the phase axis and of any phase.

    What moves ghosts: the front of the body more than its back. Copies that leave the field of view come back on the
    other side, as periodic motion makes them.
    """
    axis = 1 if random.chance(0.65) else 2
    count = random.integer(2, 5)
    step = max(1, round(image.shape[axis] / count + random.uniform(-3, 3)))
    weight = torch.linspace(1, random.uniform(0.1, 1.0), image.shape[1])[:, None]
    moving = image * weight
    ghost = random.uniform(0.2, 1.0) * strength * (moving.roll(step, axis) + moving.roll(-step, axis))
    phase = random.uniform(0, 2 * math.pi)
    return ((image + math.cos(phase) * ghost).square() + (math.sin(phase) * ghost).square()).sqrt()


def truncated(image: torch.Tensor, kept_share: tuple[float, float], random: Random) -> torch.Tensor:
    """The image from the middle of k-space alone along one axis in-plane, at times both: edges ring (Gibbs)."""
    axes = (1, 2) if random.chance(0.3) else ((1,) if random.chance(0.6) else (2,))
    for axis in axes:
        size = image.shape[axis]
        spectrum = torch.fft.rfft(image, dim=axis)
        kept = max(2, round(spectrum.shape[axis] * random.uniform(*kept_share)))
        spectrum.narrow(axis, kept, spectrum.shape[axis] - kept).zero_()
        image = torch.fft.irfft(spectrum, n=size, dim=axis)
    return image.abs()


def wrapped(
    image: torch.Tensor, box: tuple[slice, slice, slice], random: Random
) -> tuple[torch.Tensor, tuple[slice, slice, slice]]:
    """The part of the image in a box made narrower along y or x, with what is beside it folded over; and that box."""
    axis = 1 if random.chance(0.5) else 2
    old = box[axis]
    length = max(2, round((old.stop - old.start) * random.uniform(0.65, 0.95)))
    start = old.start + random.integer(0, old.stop - old.start - length)
    narrow = list(box)
    narrow[axis] = slice(start, start + length)
    others = [box[a] if a != axis else slice(None) for a in range(3)]
    row = image[others[0], others[1], others[2]]
    part = row.narrow(axis, start, length).clone()
    fade = random.uniform(0.3, 1.0)
    before, after = min(start, length), min(row.shape[axis] - start - length, length)
    part.narrow(axis, length - before, before).add_(row.narrow(axis, start - before, before), alpha=fade)
    part.narrow(axis, 0, after).add_(row.narrow(axis, start + length, after), alpha=fade)
    return part, (narrow[0], narrow[1], narrow[2])


def slice_jumps(depth: int, spacing: float, random: Random) -> tuple[int, torch.Tensor]:
    """How many slices are scanned, and where along z each of `depth` planes really was: float32 [depth], in planes.

    In half of the cases the scan is interleaved: every second slice belongs to another breath.
    """
    count = min(depth, max(2, round(depth * spacing / random.uniform(*_JUMP_THICKNESS))))
    far = random.uniform(0.2, 1.0) * _JUMP / spacing
    jumps = random.noise((count,)) * far
    if random.chance(0.5):
        jumps[1::2] = 0.5 * jumps[1::2] + far
    planes = torch.arange(depth)
    return count, (planes + jumps[planes * count // depth]).clamp_(0, depth - 1)


def gapped_slices(
    image: torch.Tensor, spacing: float, random: Random, distances: tuple[float, float] = _SLICE_DISTANCE
) -> torch.Tensor:
    """Slices [z, y, x] with gaps between them along one axis: each a mean over its own thickness alone.

    `distances` in mm from slice to slice, least and largest. A slice fills 0.3 to 1 of the distance, rounded to an odd
    number of voxels.
    """
    axis = int(random.numbers.choice(3, p=(0.7, 0.18, 0.12)))
    distance = random.uniform(*distances)
    thickness = distance * random.uniform(0.3, 1.0)
    side = max(0, round((thickness / spacing - 1) / 2))
    kernel, padding = [1, 1, 1], [0] * 6
    kernel[axis] = 2 * side + 1
    padding[4 - 2 * axis] = padding[5 - 2 * axis] = min(side, image.shape[axis])
    mean = F.avg_pool3d(F.pad(image[None, None], padding, mode="replicate"), tuple(kernel), 1)
    shape = list(image.shape)
    shape[axis] = min(shape[axis], max(2, round(shape[axis] * spacing / distance)))
    return F.interpolate(mean, size=tuple(shape), mode="nearest-exact")[0, 0]
