"""The abdomen in a long field of view: where organs can be above and below the liver.

A tile that shows little but the chest looks to a network like an abdomen whose organs have to be somewhere: a lung
becomes the stomach, and the true spleen is missed. So where a volume reaches far beyond the liver, the tiles are laid
once more, into the abdomen alone. The distances are those of 49 label maps of CT, MR and whole bodies: no organ that
stays in the abdomen was more than 15 mm above the liver's dome or 140 mm below its tip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import AORTA, INFERIOR_VENA_CAVA, LIVER, OESOPHAGUS, LabelSet
from LiverMRISegLib.inference.region import is_cut
from LiverMRISegLib.volume import Box

# These go on into the chest, or the pelvis.
PASSING_THROUGH = (AORTA, INFERIOR_VENA_CAVA, OESOPHAGUS)
_ABOVE_MM, _BELOW_MM = 50.0, 170.0
# A volume that reaches less far beyond these is looked at once: it has no tile of the chest alone.
_WORTH_MM = 50.0
_LEAST_LIVER_LEFT = 0.7


def abdomen_of(
    channels: np.ndarray, labels: LabelSet, shape: Sequence[int], spacing: Sequence[float], least: int
) -> Box | None:
    """The part of an image (first axis towards the head) around the liver; None where the image is hardly longer.

    Args:
        channels: labels [Z, Y, X] of a first look, on another grid over the same extent.
        labels: what they mean.
        shape: of the image.
        spacing: of the image [Z, Y, X] in mm.
        least: planes that the part has at least, as far as the image goes: the network's patch.
    """
    liver = _largest_liver(channels, labels)
    if liver is None:
        return None
    planes, scale = np.flatnonzero(liver.any(axis=(1, 2))), shape[0] / channels.shape[0]
    below = int(max(0, planes[0] * scale - _BELOW_MM / spacing[0]))
    above = int(min(shape[0], (planes[-1] + 1) * scale + _ABOVE_MM / spacing[0]))
    if max(below, shape[0] - above) * spacing[0] < _WORTH_MM:
        return None
    below = max(0, min(below, above - least))
    return (slice(below, max(above, min(shape[0], below + least))), slice(0, shape[1]), slice(0, shape[2]))


def joined(
    first: np.ndarray, second: np.ndarray, labels: LabelSet, shape: Sequence[int], abdomen: Box
) -> np.ndarray | None:
    """The labels of the second look, beyond it those of the first without organs that stay, uint8 [Z, Y, X].

    None if the second look is not to be trusted: it loses much of the liver, or its organs go on beyond the abdomen.
    What is no organ of `labels` (an unsure voxel) goes on as it likes.
    """
    staying = [value for value, organ in labels.items() if organ not in PASSING_THROUGH]
    liver, before = (_largest_liver(channels, labels) for channels in (second, first))
    if liver is None or before is None or (liver & before).sum() < _LEAST_LIVER_LEFT * before.sum():
        return None
    if is_cut(np.isin(second, staying), shape, abdomen):
        return None
    beyond = np.ones(len(first), bool)
    scale = len(first) / shape[0]
    beyond[round(abdomen[0].start * scale) : round(abdomen[0].stop * scale)] = False
    result = second.copy()
    result[beyond] = np.where(np.isin(first[beyond], staying), 0, first[beyond])
    return result


def _largest_liver(channels: np.ndarray, labels: LabelSet) -> np.ndarray | None:
    """bool [Z, Y, X]; None where there is no liver."""
    if LIVER not in labels.organs:
        return None
    mask = sitk.GetImageFromArray((channels == labels.value_of(LIVER)).astype(np.uint8))
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True)
    largest = sitk.GetArrayFromImage(parts) == 1
    return largest if largest.any() else None
