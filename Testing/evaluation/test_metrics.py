"""Metrics against values worked out by hand and against FLARE's own script."""

import math

import numpy as np
import pytest

from helpers.volumes import all_directions, as_rows
from LiverMRISegLib.anatomy import AORTA, LIVER, SPLEEN, LabelSet, structure_named
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.evaluation.metrics import TOLERANCE_MM, evaluate_case
from LiverMRISegLib.volume import Geometry, Volume, reorient

ONE = LabelSet("one", {1: LIVER})


def volume(mask, spacing=(1.0, 1.0, 1.0), direction=None):
    rows = as_rows(np.eye(3) if direction is None else direction)
    return Volume(mask.astype(np.uint8), Geometry(mask.shape[::-1], spacing, direction=rows), "case")


def cube(shift=(0, 0, 0)):
    mask = np.zeros((30, 30, 30), bool)
    z, y, x = shift
    mask[8 + z : 18 + z, 8 + y : 18 + y, 8 + x : 18 + x] = True
    return mask


def scores(first, second, labels=ONE, **options):
    return evaluate_case(first, second, labels, labels, **options)[0]


def test_equal_masks():
    found = scores(volume(cube()), volume(cube()))
    assert (found.dsc, found.nsd, found.hd, found.hd95) == (1.0, 1.0, 0.0, 0.0)
    assert found.predicted_ml == pytest.approx(1.0)


@pytest.mark.parametrize(("axis", "distance"), [(0, 4.0), (1, 2.0), (2, 1.5)])
def test_a_shifted_cube_in_an_anisotropic_grid(axis, distance):
    shift = [0, 0, 0]
    shift[axis] = 3
    spacing = (1.5, 2.0, 4.0)
    found = scores(volume(cube(shift), spacing), volume(cube(), spacing))
    assert found.dsc == pytest.approx(0.7)
    assert found.hd == pytest.approx(3 * distance)


def test_both_definitions_of_hd95():
    """A stray component is more than 5 % of the prediction's surface, but less of both surfaces together."""
    from scipy import ndimage

    reference = np.zeros((40, 40, 40), bool)
    reference[10:16, 10:16, 10:16] = True
    predicted = reference.copy()
    predicted[30, 20:23, 20:23] = True
    spacing = (1.0, 1.5, 2.0)
    found = scores(volume(predicted, spacing), volume(reference, spacing))
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (predicted, reference)]
    maps = [ndimage.distance_transform_edt(~edge, sampling=spacing[::-1]) for edge in edges]
    there, back = maps[1][edges[0]], maps[0][edges[1]]
    assert found.hd == pytest.approx(max(there.max(), back.max()), rel=1e-5)
    assert found.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)
    assert found.hd95_pooled == pytest.approx(np.percentile(np.hstack([there, back]), 95), rel=1e-5)
    assert (found.hd95 > 30, found.hd95_pooled) == (True, 0.0)


def test_a_structure_that_flare_does_not_grade_has_a_tolerance_too():
    labels = LabelSet("foreign", {1: structure_named("tumour", 1)})
    found = scores(volume(cube((0, 0, 2))), volume(cube()), labels)
    assert found.nsd == 1.0


def test_empty_masks():
    empty = volume(np.zeros((30, 30, 30), bool))
    both = scores(empty, empty)
    assert (both.dsc, both.nsd, both.hd) == (1.0, 1.0, 0.0)
    for pair in ((empty, volume(cube())), (volume(cube()), empty)):
        one = scores(*pair)
        assert (one.dsc, one.nsd, one.hd, one.hd95) == (0.0, 0.0, math.inf, math.inf)


def test_far_apart_has_no_nsd():
    assert scores(volume(cube((9, 9, 0))), volume(cube())).nsd == 0.0


def test_surface_dice_of_flares_script(monkeypatch):
    """methods.md 12b: two ellipsoids on a 20 x 18 x 10 grid of 1.3, 1.3, 3 mm."""
    x, y, z = np.indices((20, 18, 10))
    first = 1.69 * (x - 9) ** 2 + 1.69 * (y - 8) ** 2 + 9 * (z - 4) ** 2 < 64
    second = 1.69 * (x - 10) ** 2 + 1.69 * (y - 8) ** 2 + 9 * (z - 5) ** 2 < 70
    pair = [volume(m.transpose(2, 1, 0), (1.3, 1.3, 3.0)) for m in (first, second)]
    for tolerance, expected in ((1.0, 0.456122), (2.0, 0.761878), (3.0, 0.970356)):
        monkeypatch.setitem(TOLERANCE_MM, "liver", tolerance)
        found = scores(*pair)
        assert found.dsc == pytest.approx(0.700651, abs=1e-6)
        assert found.nsd == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("organ", ["aorta", "inferior vena cava", "oesophagus"])
def test_long_organs_are_compared_within_the_slices_of_the_reference(organ):
    labels = LabelSet(organ, {1: structure_named(organ)})
    long, short = np.zeros((30, 30, 30), bool), np.zeros((30, 30, 30), bool)
    long[2:28, 10:14, 10:14], short[10:20, 10:14, 10:14] = True, True
    assert scores(volume(long), volume(short), labels).dsc == 1.0
    assert scores(volume(long), volume(short)).dsc < 0.6
    partly = short.copy()
    partly[19] = False
    assert scores(volume(partly), volume(short), labels).dsc < 1.0
    assert scores(volume(partly), volume(short), labels, flare_parity=True).dsc == 1.0
    single = np.zeros((30, 30, 30), bool)
    single[10, 10:14, 10:14] = True
    for parity in (False, True):
        assert scores(volume(single), volume(single), labels, flare_parity=parity).dsc == 1.0
        for wrong in (np.roll(single, 8, axis=2), np.roll(single, 3, axis=0), np.zeros_like(single)):
            assert scores(volume(wrong), volume(single), labels, flare_parity=parity).dsc == 0.0


@pytest.mark.parametrize("number", range(0, 48, 7))
def test_orientation_changes_nothing(number):
    labels = LabelSet("aorta", {1: AORTA})
    first, second = cube((2, 1, 0)), cube()
    direction = all_directions()[number]
    pair = [volume(m, (1.5, 2.0, 4.0), direction) for m in (first, second)]
    turned = [reorient(v, "LPS") for v in pair]
    one, other = scores(*pair, labels), scores(*turned, labels)
    assert (one.dsc, one.hd95, one.nsd) == pytest.approx((other.dsc, other.hd95, other.nsd))


@pytest.mark.parametrize("code", ["RAS", "LPI", "SRA"])
def test_masks_whose_axes_point_elsewhere_are_compared_in_the_patient(code):
    prediction, reference = volume(cube((1, 2, 3)), (1.0, 2.0, 3.0)), volume(cube(), (1.0, 2.0, 3.0))
    straight, turned = scores(prediction, reference), scores(prediction, reorient(reference, code))
    assert turned == straight
    assert scores(prediction, reorient(prediction, code)).dsc == 1.0


def test_grids_and_organs_must_fit():
    with pytest.raises(InputError, match="same grid"):
        scores(volume(cube()), volume(cube(), (1.0, 1.0, 2.0)))
    with pytest.raises(InputError, match="no organ in common"):
        evaluate_case(volume(cube()), volume(cube()), ONE, LabelSet("x", {1: SPLEEN}))
