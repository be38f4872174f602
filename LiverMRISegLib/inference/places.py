"""Whether organs are where they usually are beside the liver, in the patient's directions.

The ranges are those of the centres in 49 label maps of adults (CT, MR and whole bodies; 32 for the adrenal glands),
rounded outwards to 5 mm. Vessels and the oesophagus are not judged: where their centres are depends on the field of
view.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from LiverMRISegLib.anatomy import (
    GALLBLADDER,
    LEFT_ADRENAL_GLAND,
    LEFT_KIDNEY,
    LIVER,
    PANCREAS,
    RIGHT_ADRENAL_GLAND,
    RIGHT_KIDNEY,
    SPLEEN,
    STOMACH,
    LabelSet,
    Organ,
)
from LiverMRISegLib.volume import Box, Geometry

# From the liver's centre to the organ's, in mm: to the patient's left, back and head, each from least to most.
USUAL_MM: Mapping[Organ, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        RIGHT_KIDNEY: ((-55, 20), (15, 90), (-120, -5)),
        LEFT_KIDNEY: ((95, 175), (20, 80), (-150, -10)),
        SPLEEN: ((115, 215), (10, 105), (-65, 50)),
        PANCREAS: ((45, 110), (-40, 15), (-80, -5)),
        RIGHT_ADRENAL_GLAND: ((-5, 55), (20, 75), (-60, 25)),
        LEFT_ADRENAL_GLAND: ((65, 135), (-5, 65), (-80, 20)),
        GALLBLADDER: ((-40, 30), (-60, 10), (-75, 0)),
        STOMACH: ((80, 155), (-60, 40), (-35, 20)),
    }
)
# A liver or an organ that the field of view cuts, or a very large one, moves a centre by less.
_TOLERANCE_MM = 50.0
_TOO_FAR = (("right", "left"), ("front", "back"), ("feet", "head"))


def unusual_places(
    labelmap: np.ndarray, labels: LabelSet, boxes: Mapping[int, Box], geometry: Geometry
) -> dict[str, str]:
    """What is unusual about the place of an organ, by its name; empty without a liver.

    Args:
        labelmap: [Z, Y, X] on `geometry`.
        labels: what its values mean.
        boxes: around every label that occurs.
        geometry: says where left, back and head are.
    """
    values = {organ: value for value, organ in labels.items() if value in boxes}
    if LIVER not in values:
        return {}
    liver = _centre(labelmap, values[LIVER], boxes, geometry)
    found = {}
    for organ in USUAL_MM.keys() & values.keys():
        offset = _centre(labelmap, values[organ], boxes, geometry) - liver
        problem = _beyond(offset, USUAL_MM[organ])
        if problem:
            found[organ.name] = problem
    return found


def _beyond(offset: np.ndarray, usual: tuple[tuple[float, float], ...]) -> str:
    """The direction in which an organ is furthest beyond its range; empty if it is within the tolerance."""
    excess = [max(low - far, far - high) for far, (low, high) in zip(offset, usual, strict=True)]
    axis = int(np.argmax(excess))
    if excess[axis] <= _TOLERANCE_MM:
        return ""
    return f"{excess[axis]:.0f} mm further towards the {_TOO_FAR[axis][int(offset[axis] > usual[axis][1])]}"


def _centre(labelmap: np.ndarray, value: int, boxes: Mapping[int, Box], geometry: Geometry) -> np.ndarray:
    """In world coordinates (mm, LPS)."""
    box = boxes[value]
    inside = np.argwhere(labelmap[box] == value).mean(axis=0)
    index = inside + [part.start for part in box]
    return np.array(geometry.world_of(index[::-1]))
