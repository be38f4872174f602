"""Left and right of paired organs, in grids of every orientation."""

import numpy as np
import pytest

from helpers.volumes import all_directions, as_rows
from LiverMRISegLib.anatomy import CHAOS, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, LabelSet
from LiverMRISegLib.evaluation.metrics import wrong_side_shares
from LiverMRISegLib.volume import Geometry, Volume

OWN = LabelSet("own", {1: LIVER, 2: RIGHT_KIDNEY, 3: LEFT_KIDNEY})
RIGHT, LEFT = (CHAOS.value_of(organ) for organ in (RIGHT_KIDNEY, LEFT_KIDNEY))


def volume(array, direction=None):
    rows = as_rows(np.eye(3) if direction is None else direction)
    return Volume(array.astype(np.uint8), Geometry(array.shape[::-1], (1.0, 1.0, 2.0), direction=rows), "case")


def kidneys(right, left):
    """Ten voxels of either kidney."""
    array = np.zeros((4, 6, 8), np.uint8)
    array[1, 1, 1:6], array[2, 1, 1:6] = right, right
    array[1, 4, 1:6], array[2, 4, 1:6] = left, left
    return array


def test_none_all_and_a_part_on_the_wrong_side():
    reference = volume(kidneys(RIGHT, LEFT))
    assert wrong_side_shares(volume(kidneys(2, 3)), reference, OWN, CHAOS) == {"right kidney": 0.0, "left kidney": 0.0}
    assert wrong_side_shares(volume(kidneys(3, 2)), reference, OWN, CHAOS) == {"right kidney": 1.0, "left kidney": 1.0}
    partly = kidneys(2, 3)
    partly[1, 4, 1:4] = 2
    shares = wrong_side_shares(volume(partly), reference, OWN, CHAOS)
    assert shares == {"right kidney": 0.0, "left kidney": pytest.approx(0.3)}


@pytest.mark.parametrize("direction", all_directions())
def test_whatever_the_orientation(direction):
    pair = volume(kidneys(2, 1), direction), volume(kidneys(RIGHT, LEFT), direction)
    assert wrong_side_shares(*pair, OWN, CHAOS) == {"right kidney": 0.0, "left kidney": 0.0}


def test_missed_organs_are_not_swapped_ones_and_unpaired_ones_are_left_out():
    reference = volume(kidneys(RIGHT, CHAOS.value_of(LIVER)))
    assert wrong_side_shares(volume(kidneys(0, 0)), reference, OWN, CHAOS) == {"right kidney": 0.0}


def test_a_model_without_the_other_side():
    only = LabelSet("only", {1: RIGHT_KIDNEY})
    shares = wrong_side_shares(volume(kidneys(1, 1)), volume(kidneys(RIGHT, LEFT)), only, CHAOS)
    assert shares == {"left kidney": 1.0}
