"""Places of organs beside the liver: usual ones are silent, unusual ones are named with their direction."""

import numpy as np
import pytest

from helpers.packages import tiny_spec
from helpers.volumes import all_directions, as_rows
from LiverMRISegLib.anatomy import CHAOS, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from LiverMRISegLib.inference.flag import PLACE
from LiverMRISegLib.inference.places import USUAL_MM
from LiverMRISegLib.inference.quality import flags
from LiverMRISegLib.volume import Geometry, Volume, reorient

SPACING = 10.0
CENTRE = np.array([14, 12, 24])  # voxels x, y, z of the liver


def usual():
    """The centre of each organ, in the middle of its range, in voxels x, y, z from the liver's."""
    return {organ: np.array([sum(r) / 2 for r in USUAL_MM[organ]]) / SPACING for organ in USUAL_MM}


def flagged(moved, direction=None):
    """Flags on places of liver, kidneys and spleen, those in `moved` that many mm off."""
    labels = np.zeros((48, 30, 40), np.uint8)
    for organ in (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN):
        offset = usual().get(organ, np.zeros(3)) + np.array(moved.get(organ, (0, 0, 0))) / SPACING
        x, y, z = np.rint(CENTRE + offset).astype(int)
        labels[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = CHAOS.value_of(organ)
    volume = Volume(labels, Geometry((40, 30, 48), (SPACING,) * 3))
    if direction is not None:
        volume = reorient(volume, Geometry((1, 1, 1), direction=as_rows(direction)).orientation)
    image = Volume(volume.array.astype(np.float32), volume.geometry)
    return [flag for flag in flags(image, volume.array, CHAOS, tiny_spec()) if flag.kind == PLACE]


@pytest.mark.parametrize("direction", [None, *all_directions()[::7]])
def test_usual_places_are_silent_and_a_spleen_in_the_chest_is_not(direction):
    assert flagged({}, direction) == []
    assert flagged({SPLEEN: (0, 0, 160)}, direction) == [
        "spleen is at an unusual place: 100 mm further towards the head than usual, seen from the liver"
    ]


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({RIGHT_KIDNEY: (120, 0, 0)}, "right kidney is at an unusual place: 80 mm further towards the left"),
        ({LEFT_KIDNEY: (0, -110, 0)}, "left kidney is at an unusual place: 80 mm further towards the front"),
        ({LEFT_KIDNEY: (0, 0, -130)}, "left kidney is at an unusual place: 60 mm further towards the feet"),
    ],
)
def test_each_direction(moved, words):
    (flag,) = flagged(moved)
    assert flag.startswith(words)


def test_an_organ_just_outside_its_range_is_not_noteworthy():
    assert flagged({SPLEEN: (0, 0, 90)}) == []


def test_without_a_liver_nothing_is_said():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[2:5, 2:5, 2:5] = CHAOS.value_of(SPLEEN)
    volume = Volume(labels.astype(np.float32), Geometry((10, 10, 10), (SPACING,) * 3))
    assert not any(flag.kind == PLACE for flag in flags(volume, labels, CHAOS, tiny_spec()))
