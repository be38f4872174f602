"""Focal lesions of the large organs beyond plain balls: with rim and core, in clusters, large, of uneven outline.

They keep the organ's label: a tumour in the liver is liver.
"""

from __future__ import annotations

import torch

from LiverMRISegLib.anatomy import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from LiverMRISegLib.synthesis.randomness import Random, one_of
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES

_ORGANS = tuple(ORGAN_VALUES.value_of(o) for o in (LIVER, LIVER, LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN))
_KINDS = ("cyst", "rim", "cluster", "large")


def with_focal_lesions(image: torch.Tensor, structures: torch.Tensor, spacing: float, random: Random) -> torch.Tensor:
    """One kind of lesions in one organ, the liver most often; the image as it is where that organ is not seen."""
    organ = structures == _ORGANS[random.integer(0, len(_ORGANS) - 1)]
    centre = one_of(organ, random)
    if centre is None:
        return image
    kind = _KINDS[random.integer(0, len(_KINDS) - 1)]
    result = image.clone()
    level = random.uniform(0, 1)
    if kind == "cluster":
        spread = random.uniform(8, 35) / spacing
        for _ in range(random.integer(4, 14)):
            z, y, x = (c + float(random.numbers.normal(0, spread)) for c in centre)
            paint_lesion(result, organ, (z, y, x), random.uniform(2.5, 8) / spacing, level, random)
        return result
    radius = random.uniform(25, 55) if kind == "large" else random.uniform(4, 22)
    paint_lesion(result, organ, centre, radius / spacing, level, random, layered=kind != "cyst")
    return result


def paint_lesion(
    image: torch.Tensor,
    organ: torch.Tensor,
    centre: tuple[float, float, float],
    radius: float,
    level: float,
    random: Random,
    *,
    layered: bool = False,
) -> None:
    """Paint a lesion of `radius` voxels and brightness `level` into the image, within the organ's mask.

    `layered`: with a rim, and at times a core (scar, necrosis), of another brightness.
    """
    box = tuple(
        slice(max(0, int(c - 1.5 * radius) - 1), min(n, int(c + 1.5 * radius) + 2))
        for c, n in zip(centre, image.shape, strict=True)
    )
    if any(s.stop <= s.start for s in box):
        return  # one of a cluster that lies beyond the image
    part = image[box]
    squares = [
        ((torch.arange(s.start, s.stop).float() - c) / (radius * random.uniform(0.75, 1.33))) ** 2
        for s, c in zip(box, centre, strict=True)
    ]
    distance = (squares[0][:, None, None] + squares[1][:, None] + squares[2]).sqrt()
    distance += random.uniform(0, 0.25) * random.field(part.shape, max(2.0, 0.6 * radius))[0]
    inside = organ[box]
    # A soft border of half a voxel, and matter that is not wholly of one brightness.
    cover = ((1 - distance) * 2 * radius + 0.5).clamp_(0, 1) * inside
    matter = level + random.uniform(0, 0.1) * random.field(part.shape, 3)[0]
    if layered:
        rim = random.uniform(0.7, 0.9)
        matter = torch.where(distance > rim, torch.tensor(random.uniform(0, 1)), matter)
        if random.chance(0.5):
            matter = torch.where(distance < random.uniform(0.2, 0.5), torch.tensor(random.uniform(0, 1)), matter)
    image[box] = part + cover * (matter.clamp_(0, 1) - part)
