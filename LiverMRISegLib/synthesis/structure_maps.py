"""Structure maps: organs and the tissue around them on one coarse grid, from which synthetic images are made.

The organs come from a label map. What is around them comes from the CT image of the same body, if there is
one, by bands of its intensity; else a procedural outline is put around the organs. No MR image is involved.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import LIVER, ORGANS, LabelSet, Organ
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import SAME_PLACE, Geometry, Volume, reorient, resample, turned_to

logger = logging.getLogger(__name__)

# Organs take the values 1, 2, ... in the order of anatomy.ORGANS; tissues begin above them.
ORGAN_VALUES = LabelSet.of("structures", ORGANS)
STRUCTURES = 32


class Tissue(IntEnum):
    """What is not one of our organs, as values of a structure map."""

    AIR = 0
    SUBCUTANEOUS_FAT = 20
    VISCERAL_FAT = 21
    WALL_MUSCLE = 22
    INNER_SOFT = 23
    SKELETON = 24
    BRIGHT_CONTENT = 25
    LUNG = 26
    GAS = 27
    # Put in by `anatomy` only: ascites, effusions and spinal fluid; the heart's blood; intervertebral discs.
    FLUID = 28
    HEART = 29
    DISC = 30
    # A label that joins an organ of ours with something else: painted, but not used as truth.
    UNCERTAIN = 31


@dataclass(frozen=True)
class CtBands:
    """Upper limits of CT intensity (in the image's units) of air, fat and soft tissue; above is bone or contrast."""

    air: float
    fat: float
    soft: float


HOUNSFIELD_BANDS = CtBands(air=-160.0, fat=-25.0, soft=215.0)
# 8-bit images windowed from about -130 to 300 HU (read off the peaks of fat and muscle in BTCV's shared copies).
WINDOW = (-130.0, 300.0)
WINDOWED_8_BIT_BANDS = CtBands(air=1.0, fat=62.0, soft=205.0)


@dataclass(frozen=True)
class StructureMap:
    """`structures` uint8 [Z, Y, X] in LPS order at isotropic `spacing` mm; `texture` uint8 (CT) or None.

    `unlabelled`: the organs of ours that the label map does not name, so that they are somewhere in its other tissue.
    `weight`: how many times as often as one of weight 1 it is drawn.
    """

    name: str
    structures: np.ndarray
    texture: np.ndarray | None
    spacing: float
    unlabelled: tuple[Organ, ...] = ()
    weight: float = 1.0


def make_structure_map(
    name: str,
    labelmap: Volume,
    labels: LabelSet,
    image: Volume | None = None,
    *,
    spacing: float = 3.0,
    tissues: Mapping[int, Tissue] | None = None,
    is_complete: bool = False,
) -> StructureMap:
    """Put a label map (and the CT it was drawn on) on the common grid and name the tissue around the organs.

    Args:
        name: for messages and the cache.
        labelmap: integer labels [Z, Y, X]; values that neither `labels` nor `tissues` name count as background.
        labels: which value is which organ.
        image: the CT on the same grid: Hounsfield units, or 8-bit windowed as `WINDOW`.
        spacing: of the isotropic output grid, in mm.
        tissues: values of the label map that are tissue rather than one of our organs.
        is_complete: nothing is missing between the organs and the skin; the rest is air.

    Raises:
        InputError: nothing is labelled and there is no CT; the CT is on another grid, or in other units; or the label
            map is thinner than two voxels of the grid.
    """
    grid = _isotropic(reorient(labelmap, "LPS").geometry, spacing)
    if min(grid.size) < 2:
        raise InputError(f"{labelmap.name}: is thinner than two voxels of {spacing:g} mm; remove it from the folder")
    organs = resample(_translated(labelmap, labels, tissues or {}), grid, nearest=True).array
    if image is not None and not is_complete:
        structures, texture = _with_ct(organs, labelmap, image, grid, spacing)
    elif not organs.any():
        raise InputError(f"{labelmap.name}: shows nothing that its label set names; remove it from the folder")
    else:
        structures, texture = organs if is_complete else _procedural_surroundings(organs, spacing), None
    return StructureMap(name, structures, texture, spacing, unlabelled_by(labels))


def _with_ct(
    organs: np.ndarray, labelmap: Volume, image: Volume, grid: Geometry, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Structures and texture on `grid` of organs that are there already, and of the CT on the grid of `labelmap`."""
    if turned_to(image, labelmap.geometry, SAME_PLACE) is None:
        raise InputError(f"{image.name}: is on another grid than its label map {labelmap.name}; resample one of them")
    lowest, highest = image.array.min(), image.array.max()
    eight_bit = lowest >= 0 and highest <= 255
    if lowest >= 0 and not eight_bit:
        raise InputError(
            f"{image.name}: has values from {lowest:g} to {highest:g}, but a CT in Hounsfield units has air and fat "
            "below 0; subtract what was added (mostly 1024)"
        )
    fill, bands = (0.0, WINDOWED_8_BIT_BANDS) if eight_bit else (-1000.0, HOUNSFIELD_BANDS)
    ct = resample(Volume(image.array.astype(np.float32), image.geometry), grid, fill=fill).array
    texture = ct if eight_bit else (ct - WINDOW[0]) * (255.0 / (WINDOW[1] - WINDOW[0]))
    return _surroundings_from_ct(organs, ct, bands, spacing), np.clip(texture, 0, 255).astype(np.uint8)


def unlabelled_by(labels: LabelSet) -> tuple[Organ, ...]:
    """The organs of ours that a label set lacks."""
    return tuple(organ for organ in ORGANS if organ not in labels.organs)


def _isotropic(geometry: Geometry, spacing: float) -> Geometry:
    return geometry.with_spacing((spacing, spacing, spacing))


def _translated(labelmap: Volume, labels: LabelSet, tissues: Mapping[int, Tissue]) -> Volume:
    table = np.zeros(int(labelmap.array.max()) + 1, np.uint8)
    translation = {**labels.mapping_to(ORGAN_VALUES), **{v: int(t) for v, t in tissues.items()}}
    for value, structure in translation.items():
        if value < table.size:
            table[value] = structure
    return Volume(table[labelmap.array], labelmap.geometry)


def _surroundings_from_ct(organs: np.ndarray, ct: np.ndarray, bands: CtBands, spacing: float) -> np.ndarray:
    body, chest = _body_mask(ct > bands.air), _is_chest(organs, spacing)
    # Lungs that open to the outside where a thin wall is missed, or the map ends, are not holes.
    body |= _hull(body) & chest
    trunk = body & _closed((ct > bands.fat) & body, 24.0, spacing)
    depth = _distance_inside(trunk, spacing)
    inside = body & (organs == 0)
    structures = organs.copy()
    fat = inside & (ct > bands.air) & (ct <= bands.fat)
    structures[fat] = Tissue.VISCERAL_FAT
    structures[fat & ~trunk] = Tissue.SUBCUTANEOUS_FAT
    soft = inside & (ct > bands.fat) & (ct <= bands.soft)
    structures[soft] = Tissue.INNER_SOFT
    structures[soft & (depth < 15.0)] = Tissue.WALL_MUSCLE
    bright = inside & (ct > bands.soft)
    skeleton = _largest(bright)
    structures[bright] = Tissue.BRIGHT_CONTENT
    structures[bright & (skeleton | (depth < 25.0))] = Tissue.SKELETON
    hollow = inside & (ct <= bands.air)
    structures[hollow] = Tissue.GAS
    structures[hollow & (_large_components(hollow, 3e5 / spacing**3) | chest)] = Tissue.LUNG
    return structures


def _is_chest(organs: np.ndarray, spacing: float) -> np.ndarray:
    """[Z, 1, 1]: from 45 mm below the liver's dome upwards, where what is hollow and no organ is lung."""
    liver = np.flatnonzero((organs == ORGAN_VALUES.value_of(LIVER)).any((1, 2)))
    lowest = liver[-1] - 45.0 / spacing if len(liver) else organs.shape[0]
    return (np.arange(organs.shape[0]) > lowest)[:, None, None]


def _hull(mask: np.ndarray) -> np.ndarray:
    """What has `mask` on both sides, within its slice, along x and along y too."""
    inside = np.ones_like(mask)
    for axis in (1, 2):
        before = np.maximum.accumulate(mask, axis)
        inside &= before & np.flip(np.maximum.accumulate(np.flip(mask, axis), axis), axis)
    return inside


def _procedural_surroundings(organs: np.ndarray, spacing: float) -> np.ndarray:
    """Where there is no image: an oval trunk around the organs with a wall of muscle and a layer of fat."""
    _, y, x = np.nonzero(organs)
    margin = 18.0 / spacing
    radii = [(v.max() - v.min()) / 2 * 1.12 + margin for v in (y, x)]
    centre = [(v.max() + v.min()) / 2 for v in (y, x)]
    grid_y, grid_x = np.ogrid[: organs.shape[1], : organs.shape[2]]
    radius = np.sqrt(((grid_y - centre[0]) / radii[0]) ** 2 + ((grid_x - centre[1]) / radii[1]) ** 2)
    trunk = np.broadcast_to(radius < 1.0, organs.shape).copy()
    trunk |= _distance_inside(organs == 0, spacing) < 6.0
    outside = _distance_inside(~trunk, spacing)
    structures = np.where(trunk, np.uint8(Tissue.INNER_SOFT), np.uint8(Tissue.AIR))
    structures[~trunk & (outside < 15.0)] = Tissue.WALL_MUSCLE
    structures[~trunk & (outside >= 15.0) & (outside < 35.0)] = Tissue.SUBCUTANEOUS_FAT
    return np.where(organs > 0, organs, structures).astype(np.uint8)


def _body_mask(tissue: np.ndarray) -> np.ndarray:
    """The largest connected tissue with its holes (lungs, gas) filled slice by slice; table and arms' air drop out."""
    image = sitk.BinaryMorphologicalOpening(sitk.GetImageFromArray(tissue.astype(np.uint8)), (2, 2, 0))
    body = sitk.GetArrayFromImage(_largest_component(image))
    slices = [sitk.BinaryFillhole(sitk.GetImageFromArray(s)) for s in body]
    return np.stack([sitk.GetArrayFromImage(s) for s in slices]).astype(bool)


def _largest_component(mask: sitk.Image) -> sitk.Image:
    return sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True) == 1


def _largest(mask: np.ndarray) -> np.ndarray:
    return sitk.GetArrayFromImage(_largest_component(sitk.GetImageFromArray(mask.astype(np.uint8)))).astype(bool)


def _large_components(mask: np.ndarray, minimum_voxels: float) -> np.ndarray:
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    kept = sitk.RelabelComponent(parts, minimumObjectSize=int(minimum_voxels)) > 0
    return sitk.GetArrayFromImage(kept).astype(bool)


def _closed(mask: np.ndarray, radius_mm: float, spacing: float) -> np.ndarray:
    """Morphological closing by distance maps: fast for large radii."""
    grown = _distance_inside(~mask, spacing) <= radius_mm
    return _distance_inside(grown, spacing) > radius_mm


def _distance_inside(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Distance in mm of every voxel of `mask` to the nearest voxel outside it; 0 outside."""
    image = sitk.GetImageFromArray((~mask).astype(np.uint8))
    image.SetSpacing((spacing,) * 3)
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.maximum(sitk.GetArrayFromImage(distance), 0.0)
