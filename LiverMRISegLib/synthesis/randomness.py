"""What is random in a generated sample: numbers, smooth fields, and a source apart for each addition; small helpers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from LiverMRISegLib.synthesis.structure_maps import STRUCTURES


class Random:
    """A seeded source of numbers and smooth fields; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.numbers = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)

    def addition(self, name: str, probability: float) -> Random | None:
        """The source of the addition called `name`, or None where it is left out (with probability 0 always).

        It is a source apart: whether an addition is on changes nothing in what the others draw, so that a study
        compares the same samples with and without it.
        """
        if probability <= 0:
            return None
        mixed = np.random.SeedSequence([self.seed, zlib.crc32(name.encode())]).generate_state(1, np.uint64)
        apart = Random(int(mixed[0] >> np.uint64(2)))
        return apart if apart.chance(probability) else None

    def uniform(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return float(self.numbers.uniform(low, high))

    def integer(self, low: int, high: int) -> int:
        """One whole number from `low` to `high`, both included."""
        return int(self.numbers.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.numbers.random() < probability)

    def noise(self, shape: Sequence[int]) -> torch.Tensor:
        """Independent standard normal numbers."""
        return torch.randn(*shape, generator=self._torch)

    def field(self, shape: Sequence[int], cell: float, channels: int = 1) -> torch.Tensor:
        """A smooth field [channels, Z, Y, X] whose features are `cell` voxels wide.

        Its standard deviation is 1 at the nodes of its lattice and about 0.54 over all voxels.
        """
        coarse = [max(2, round(n / cell) + 1) for n in shape]
        return resized(self.noise((channels, *coarse)), shape)


def resized(array: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """[C, z, y, x] brought to [C, *shape], corners on corners, linear in between."""
    return F.interpolate(array[None], size=tuple(shape), mode="trilinear", align_corners=True)[0]


def box_mean(array: torch.Tensor, width: int) -> torch.Tensor:
    """The mean of [Z, Y, X] over `width` (odd) voxels along every axis, axis by axis, less at the edges."""
    smooth = array
    for axis, size in enumerate(array.shape):
        if size < width:  # torch's pooling refuses it
            places = torch.arange(size)
            near = ((places[:, None] - places).abs() <= width // 2).float()
            smooth = torch.tensordot(near / near.sum(1, keepdim=True), smooth, ([1], [axis])).movedim(0, axis)
            continue
        kernel = [width if a == axis else 1 for a in range(3)]
        padding = [k // 2 for k in kernel]
        smooth = F.avg_pool3d(smooth[None, None], kernel, 1, padding, count_include_pad=False)[0, 0]
    return smooth


def coarse_box_mean(mask: torch.Tensor, width: int) -> torch.Tensor:
    """About `box_mean` of a bool mask over the whole patch, by way of half the resolution, where speed matters more."""
    half = F.avg_pool3d(mask[None, None].float(), 2, 2, ceil_mode=True, count_include_pad=False)[0, 0]
    return resized(box_mean(half, 2 * (width // 4) + 1)[None], mask.shape)[0]


def is_one_of(structures: torch.Tensor, values: tuple[int, ...]) -> torch.Tensor:
    """Bool mask of the voxels whose structure is among `values`; a table is faster than torch.isin."""
    table = torch.zeros(STRUCTURES, dtype=torch.bool)
    table[[int(v) for v in values]] = True
    return table[structures.int()]


def is_inside(structures: torch.Tensor) -> torch.Tensor:
    """Where all of a voxel's 26 neighbours are of its own structure (uint8)."""
    return highest_near(structures, 1) == 255 - highest_near(255 - structures, 1)


def highest_near(array: torch.Tensor, reach: int) -> torch.Tensor:
    """The highest value within `reach` voxels along every axis, of uint8 [Z, Y, X], less at the edges.

    Axis by axis in bytes: fifty times as fast on a CPU as torch's pooling.
    """
    for axis in range(3):
        for _ in range(reach):
            low, high = array.narrow(axis, 0, array.shape[axis] - 1), array.narrow(axis, 1, array.shape[axis] - 1)
            wide = array.clone()
            torch.maximum(low, high, out=wide.narrow(axis, 0, low.shape[axis]))
            after = wide.narrow(axis, 1, low.shape[axis])
            torch.maximum(after, low, out=after)
            array = wide
    return array


def one_of(mask: torch.Tensor, random: Random) -> tuple[int, int, int] | None:
    """A voxel (z, y, x) of a bool mask [Z, Y, X] chosen evenly; None if it is empty."""
    places = mask.flatten().nonzero()[:, 0]
    if len(places) == 0:
        return None
    z, y, x = np.unravel_index(int(places[random.integer(0, len(places) - 1)]), tuple(mask.shape))
    return (int(z), int(y), int(x))


def box_around(mask: torch.Tensor, margin: int) -> tuple[slice, slice, slice] | None:
    """The box of a bool mask [Z, Y, X] with `margin` voxels around it, cut at the edges; None if it is empty."""
    voxels: np.ndarray = mask.numpy()
    front, side = np.any(voxels, axis=2), np.any(voxels, axis=0)
    bounds = []
    for used in (np.any(front, axis=1), np.any(front, axis=0), np.any(side, axis=0)):
        places = np.flatnonzero(used)
        if len(places) == 0:
            return None
        bounds.append(slice(max(0, int(places[0]) - margin), int(places[-1]) + 1 + margin))
    return (bounds[0], bounds[1], bounds[2])
