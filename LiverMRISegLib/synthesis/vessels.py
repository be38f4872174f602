"""Vessels and bile ducts of the liver as trees that grow from a root and branch, drawn as thin tubes."""

from __future__ import annotations

import numpy as np
import torch

from LiverMRISegLib.anatomy import LIVER
from LiverMRISegLib.synthesis.randomness import Random, box_around, box_mean, one_of
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES

_LIVER = ORGAN_VALUES.value_of(LIVER)
_MOST_TIPS = 96


def with_vessel_trees(image: torch.Tensor, structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """One to four trees in the liver, each brighter or darker than it; tubes thinner than a voxel are fainter.

    A full tube has 1.3 to 2.5, or 0.2 to 0.8, of the brightness of the liver around it.
    """
    box = box_around(structures == _LIVER, 0)
    if box is None:
        return image
    liver = structures[box] == _LIVER
    deep = liver & (box_mean(liver.float(), 5) > 0.7)
    result = image.clone()
    for _ in range(random.integer(1, 4)):
        root = one_of(deep if deep.any() else liver, random)
        if root is None:
            break
        points, radii = grow(np.array(root, float), random.uniform(3.0, 7.0) / spacing, random)
        share = drawn(points, radii, liver.shape)
        level = random.uniform(0.3, 1.5) if random.chance(0.65) else -random.uniform(0.2, 0.8)
        result[box] = result[box] * (1 + level * torch.where(liver, share, torch.zeros(())))
    return result.clamp_(0, 1.5)


def grow(root: np.ndarray, radius: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 3] (z, y, x) of a tree and the tube's radius at each, in voxels; all tips grow at the same time.

    At each step a tip turns a little and moves on by a voxel; some split in two, each thinner by Murray's law (the
    cubes of the radii add up).
    """
    numbers = random.numbers
    count = random.integer(2, 4)
    place = np.repeat(root[None], count, 0)
    direction = _unit(numbers.normal(size=(count, 3)))
    width = np.full(count, radius)
    bend, split = random.uniform(0.1, 0.3), random.uniform(0.08, 0.2)
    points, radii = [place], [width]
    for _ in range(random.integer(18, 34)):
        direction = _unit(direction + numbers.normal(0, bend, direction.shape))
        place = place + direction
        width = width * 0.985
        points.append(place)
        radii.append(width)
        parting = numbers.random(len(place)) < split
        if parting.any() and len(place) + parting.sum() <= _MOST_TIPS:
            width = np.where(parting, width * 0.8, width)
            aside = _unit(direction[parting] + numbers.normal(0, 0.7, (int(parting.sum()), 3)))
            place, width = np.concatenate([place, place[parting]]), np.concatenate([width, width[parting]])
            direction = np.concatenate([direction, aside])
    return np.concatenate(points), np.concatenate(radii)


def drawn(points: np.ndarray, radii: np.ndarray, shape: torch.Size) -> torch.Tensor:
    """How much of each voxel the tubes fill, 0 to 1: every point is a ball spread over its 27 nearest voxels."""
    offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    nearest = np.round(points)[:, None] + offsets
    distance = np.linalg.norm(nearest - points[:, None], axis=2)
    # Thinner than a voxel: the share is that of the tube's cross-section; else its soft border half a voxel wide.
    fill = np.clip(radii[:, None] + 0.5 - distance, 0, 1) * np.minimum(1, 2 * radii[:, None]) ** 2
    inside = ((nearest >= 0) & (nearest < np.array(shape))).all(2) & (fill > 0)
    flat = np.ravel_multi_index(tuple(nearest[inside].astype(int).T), tuple(shape))
    share = torch.zeros(int(np.prod(shape)))
    share.scatter_reduce_(0, torch.from_numpy(flat), torch.from_numpy(fill[inside]).float(), "amax")
    return share.reshape(tuple(shape))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
