"""DSC, HD, HD95 and NSD against values by hand and against those frozen from the FLARE challenge's own script."""

import math

import numpy as np
import pytest

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import AMOS, CHAOS, LabelSet
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.evaluation.metrics import NSD_TOLERANCE_MM, evaluate_case, hausdorff, surface_dice
from LiverMRISegLib.volume import AxisChange, Geometry, Volume

SPACING = (1.0, 2.0, 5.0)
SIZE = (30, 24, 16)
ONE = LabelSet.of("one", [anatomy.LIVER])
AORTA = LabelSet.of("aorta", [anatomy.AORTA])


def cube(lower, size, value=1, geometry=None):
    geometry = geometry or Geometry(SIZE, SPACING)
    array = np.zeros(geometry.shape, np.uint8)
    box = tuple(slice(a, a + n) for a, n in zip(lower[::-1], size[::-1], strict=True))
    array[box] = value
    return Volume(array, geometry, "cube.nii.gz")


def test_flares_own_values():
    x, y, z = np.meshgrid(np.arange(20), np.arange(18), np.arange(10), indexing="ij")
    a = 1.69 * (x - 9) ** 2 + 1.69 * (y - 8) ** 2 + 9 * (z - 4) ** 2 < 64
    b = 1.69 * (x - 10) ** 2 + 1.69 * (y - 8) ** 2 + 9 * (z - 5) ** 2 < 70
    found = [surface_dice(a, b, (1.3, 1.3, 3), tolerance) for tolerance in (1, 2, 3)]
    assert found == pytest.approx([0.456122, 0.761878, 0.970356], abs=1e-6)


@pytest.mark.parametrize(("axis", "voxels"), [(0, 3), (1, 2), (2, 1)])
def test_shifted_cube(axis, voxels):
    lower = [5, 5, 5]
    lower[axis] += voxels
    (row,) = evaluate_case(cube(lower, (10, 8, 4)), cube((5, 5, 5), (10, 8, 4)), ONE)
    assert row.organ == "liver"
    assert row.dsc == pytest.approx(1 - voxels / (10, 8, 4)[axis])
    assert row.hd == pytest.approx(voxels * SPACING[axis])
    assert row.volume_ml == row.reference_ml == pytest.approx(10 * 8 * 4 * 10 / 1000)
    # Every point of either surface is within the liver's 5 mm of the other.
    assert row.nsd == pytest.approx(1.0)


def test_hd95_leaves_out_a_spike():
    reference, prediction = cube((4, 4, 3), (20, 16, 10)), cube((4, 4, 3), (20, 16, 10))
    prediction.array[8, 10, 24:29] = 1
    (row,) = evaluate_case(prediction, reference, ONE)
    assert row.hd == pytest.approx(5.0)
    assert row.hd95 == pytest.approx(0.0)


def test_hausdorff_is_of_both_directions():
    near, far = cube((5, 5, 5), (4, 4, 4)).array > 0, cube((5, 5, 5), (4, 4, 4)).array > 0
    far[6, 6, 20] = True
    assert hausdorff(near, far, SPACING[::-1]) == hausdorff(far, near, SPACING[::-1]) == pytest.approx(12.0)


def test_empty_masks():
    empty, full = cube((0, 0, 0), (0, 0, 0)), cube((5, 5, 5), (4, 4, 4))
    (both,) = evaluate_case(empty, empty, ONE)
    assert (both.dsc, both.nsd, both.hd, both.hd95) == (1.0, 1.0, 0.0, 0.0)
    for prediction, reference in ((empty, full), (full, empty)):
        (row,) = evaluate_case(prediction, reference, ONE)
        assert (row.dsc, row.nsd) == (0.0, 0.0)
        assert math.isnan(row.hd)
        assert math.isnan(row.hd95)
        assert max(row.volume_ml, row.reference_ml) == pytest.approx(0.64)


def test_nsd_is_zero_below_a_dsc_of_a_fifth():
    # Two flat plates: the surfaces are near each other, the masks hardly overlap.
    (row,) = evaluate_case(cube((5, 5, 5), (20, 10, 1)), cube((5, 5, 6), (20, 10, 1)), ONE)
    assert row.dsc == 0.0
    assert row.nsd == 0.0
    assert row.hd == pytest.approx(5.0)


def test_the_aorta_counts_only_in_its_references_slices_without_the_last():
    reference = cube((5, 5, 4), (4, 4, 6))
    prediction = cube((5, 5, 2), (4, 4, 12))
    prediction.array[9] = 0
    (row,) = evaluate_case(prediction, reference, AORTA)
    assert (row.dsc, row.nsd, row.hd) == (1.0, 1.0, 0.0)
    assert row.volume_ml == pytest.approx(4 * 4 * 11 / 100)
    assert evaluate_case(prediction, reference, ONE)[0].dsc < 1.0


def test_the_aortas_last_slice_is_the_upper_one_whichever_way_the_slices_run():
    reference, prediction = cube((5, 5, 4), (4, 4, 6)), cube((5, 5, 4), (4, 4, 5))
    turned = [as_orientation(volume, "LPI") for volume in (prediction, reference)]
    assert evaluate_case(prediction, reference, AORTA)[0].dsc == 1.0
    assert evaluate_case(*turned, AORTA)[0].dsc == 1.0


def test_an_aorta_in_one_slice_has_a_figure():
    (row,) = evaluate_case(cube((5, 5, 4), (4, 4, 1)), cube((5, 5, 4), (4, 4, 1)), AORTA)
    assert (row.dsc, row.nsd) == (1.0, 1.0)


@pytest.mark.parametrize("code", ["RAS", "PIR", "SLA"])
def test_axes_may_be_permuted(code):
    prediction, reference = cube((4, 5, 6), (10, 8, 4)), cube((5, 5, 5), (10, 8, 4))
    expected = evaluate_case(prediction, reference, ONE)
    assert evaluate_case(as_orientation(prediction, code), reference, ONE) == expected


def as_orientation(volume, code):
    change = AxisChange.between(volume.geometry.orientation, code)
    geometry = change.apply_to_geometry(volume.geometry)
    return Volume(np.ascontiguousarray(change.apply(volume.array)), geometry, volume.name)


@pytest.mark.parametrize(
    "other",
    [
        Geometry((30, 24, 17), SPACING),
        Geometry(SIZE, (1.0, 2.0, 5.5)),
        Geometry(SIZE, SPACING, (1.0, 0.0, 0.0)),
    ],
)
def test_another_grid_is_refused_and_both_files_named(other):
    reference = Volume(np.zeros(SIZE[::-1], np.uint8), Geometry(SIZE, SPACING), "reference.nii.gz")
    with pytest.raises(InputError, match=r"cube\.nii\.gz.*reference\.nii\.gz"):
        evaluate_case(cube((5, 5, 5), (4, 4, 4), geometry=other), reference, ONE)


def test_rounded_headers_are_the_same_grid():
    almost = Geometry(SIZE, SPACING, (1e-3, -1e-3, 1e-3))
    (row,) = evaluate_case(cube((5, 5, 5), (4, 4, 4), geometry=almost), cube((5, 5, 5), (4, 4, 4)), ONE)
    assert row.dsc == 1.0


def test_two_label_sets():
    prediction = cube((5, 5, 5), (4, 4, 4), AMOS.value_of(anatomy.SPLEEN))
    reference = cube((5, 5, 5), (4, 4, 4), CHAOS.value_of(anatomy.SPLEEN))
    rows = {row.organ: row for row in evaluate_case(prediction, reference, (AMOS, CHAOS))}
    assert list(rows) == ["liver", "right kidney", "left kidney", "spleen"]
    assert all(row.dsc == 1.0 for row in rows.values())
    assert rows["spleen"].reference_ml > 0


def test_nothing_in_common_is_an_error():
    empty = cube((0, 0, 0), (0, 0, 0))
    with pytest.raises(UsageError, match="no organ in common"):
        evaluate_case(empty, empty, (ONE, AORTA))


def test_every_organ_has_a_tolerance():
    assert set(NSD_TOLERANCE_MM) == set(anatomy.ORGANS)
