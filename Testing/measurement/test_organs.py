"""Organs of phantoms whose volumes, lengths and values are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.ellipsoids import HALF_AXES, ellipsoid, grid, labelmap_of
from helpers.volumes import all_directions, oblique_directions
from LiverMRISegLib.anatomy import CHAOS, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, LabelSet
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.measurement.maps import QuantityMap, quantity_map
from LiverMRISegLib.measurement.organs import Rules, measure
from LiverMRISegLib.volume import Volume


def spleen_of(found):
    return found.of(SPLEEN)


def test_volume_and_lengths_of_an_ellipsoid_in_any_orientation():
    truth = 4 / 3 * np.pi * np.prod(HALF_AXES) / 1000
    for direction in [*all_directions()[::7], *oblique_directions()]:
        spleen = spleen_of(measure(labelmap_of(grid(direction=direction)), CHAOS))
        assert spleen.volume_ml == pytest.approx(truth, rel=0.01)
        assert spleen.longest_mm == pytest.approx(110, abs=3)
        assert spleen.craniocaudal_mm == pytest.approx(110, abs=3)
        assert spleen.remarks == ()


def test_organs_that_were_not_found_have_no_figures():
    found = measure(labelmap_of(grid()), CHAOS, {"pdff": quantity_map("pdff", Volume(np.ones(grid().shape), grid()))})
    liver = found.of(LIVER)
    assert (liver.voxels, liver.volume_ml, liver.longest_mm) == (0, None, None)
    assert liver.remarks == ("liver was not found",)
    assert liver.statistics["pdff"].mean is None
    (kidneys,) = found.derived
    assert kidneys.value is None
    assert "right kidney was not found and is not in the sum" in kidneys.remarks


def test_total_kidney_volume_says_which_kidney_is_missing():
    geometry = grid()
    array = ellipsoid(geometry, (12, 12, 25), (-20, 0, 0)).astype(np.uint8) * 2
    one = measure(Volume(array, geometry), CHAOS)
    assert one.derived[0].value == one.of(RIGHT_KIDNEY).volume_ml
    assert one.derived[0].remarks == ("left kidney was not found and is not in the sum",)
    array[ellipsoid(geometry, (12, 12, 25), (20, 0, 0))] = 3
    both = measure(Volume(array, geometry), CHAOS)
    assert both.derived[0].value == pytest.approx(both.of(RIGHT_KIDNEY).volume_ml + both.of(LEFT_KIDNEY).volume_ml)
    assert both.derived[0].remarks == ()
    assert measure(Volume(array, geometry), LabelSet("liver", {1: LIVER})).derived == ()


def test_a_cut_organ_says_so():
    cut = spleen_of(measure(labelmap_of(grid(half=(40, 36, 40))), CHAOS))
    assert cut.is_cut
    assert cut.remarks == ("touches the edge of the volume, its volume may be incomplete",)


def test_values_that_the_labels_lack_are_not_measured_and_said():
    geometry = grid()
    array = labelmap_of(geometry).array.astype(np.int32)
    array[0, 0, :2] = (7, 2**31 - 1)
    found = measure(Volume(array, geometry), CHAOS)
    assert found.remarks == ("label values that CHAOS does not have were not measured: 7, 2147483647",)
    assert spleen_of(found).volume_ml == spleen_of(measure(labelmap_of(geometry), CHAOS)).volume_ml


def test_statistics_are_numpys():
    geometry = grid()
    labels = labelmap_of(geometry)
    values = np.random.default_rng(0).normal(60, 9, geometry.shape).astype(np.float32)
    found = spleen_of(measure(labels, CHAOS, {"t2": quantity_map("T2", Volume(values, geometry))})).statistics["t2"]
    inside = values[labels.array == 4].astype(float)
    assert found.voxels == inside.size
    assert (found.mean, found.sd) == pytest.approx((inside.mean(), inside.std(ddof=1)))
    assert (found.p5, found.p25, found.median, found.p75, found.p95) == pytest.approx(
        tuple(np.percentile(inside, (5, 25, 50, 75, 95)))
    )
    assert (found.covered, found.not_finite, found.outliers, found.remarks) == (1, 0, 0, ())


def test_a_map_on_another_grid_is_measured_on_its_own_voxels():
    labels = labelmap_of(grid())
    for direction in (None, oblique_directions()[0]):
        other = grid((3.5, 3.5, 6.0), (45, 40, 70), direction, (1.0, 0.5, 2.0))
        array = np.where(ellipsoid(other), 8.0, 90.0).astype(np.float32)
        found = spleen_of(measure(labels, CHAOS, {"pdff": quantity_map("pdff", Volume(array, other))}))
        statistics = found.statistics["pdff"]
        assert statistics.voxels == pytest.approx(ellipsoid(other).sum(), rel=0.03)
        assert statistics.median == 8
        assert statistics.mean == pytest.approx(8, abs=2.5)
        assert statistics.covered == 1


def test_what_a_map_does_not_cover_is_said():
    labels = labelmap_of(grid())
    half = grid(half=(40, 36, 33), shift=(0, 0, 33))
    found = spleen_of(measure(labels, CHAOS, {"r2*": quantity_map("r2*", Volume(np.ones(half.shape), half))}))
    assert found.statistics["r2*"].covered == pytest.approx(0.5, abs=0.02)
    assert "r2* covers only 50% of the organ" in found.statistics["r2*"].remarks
    beside = grid(half=(4, 36, 66), shift=(36, 0, 0))
    found = spleen_of(measure(labels, CHAOS, {"t1": quantity_map("t1", Volume(np.ones(beside.shape), beside))}))
    assert found.statistics["t1"].mean is None
    assert found.statistics["t1"].remarks == ("t1 does not cover the organ",)


def test_coarse_maps_say_how_few_of_their_voxels_there_are():
    coarse = grid((25.0, 25.0, 25.0), (50.0, 50.0, 75.0))
    maps = {"adc": quantity_map("adc", Volume(np.ones(coarse.shape), coarse))}
    found = spleen_of(measure(labelmap_of(grid()), CHAOS, maps)).statistics["adc"]
    assert found.remarks == (f"only {found.voxels} voxels of adc are in the organ",)
    small = labelmap_of(grid(), half_axes=(3, 3, 3), centre=(0, 0, 25))
    found = spleen_of(measure(small, CHAOS, maps)).statistics["adc"]
    assert (found.mean, found.remarks) == (None, ("no voxel of adc has its centre in the organ",))


def test_voxels_without_a_value_are_left_out_and_counted():
    geometry = grid()
    labels = labelmap_of(geometry)
    array = np.full(geometry.shape, 40.0, np.float32)
    inside = np.argwhere(labels.array == 4)
    array[tuple(inside[:30].T)] = np.nan
    array[tuple(inside[30:35].T)] = np.inf
    found = spleen_of(measure(labels, CHAOS, {"t2": quantity_map("t2", Volume(array, geometry))})).statistics["t2"]
    assert (found.mean, found.not_finite, found.voxels) == (40, 35, len(inside) - 35)
    assert found.remarks == (f"35 of {len(inside)} voxels of t2 are NaN, infinite or padding, left out",)
    array[:] = np.nan
    found = spleen_of(measure(labels, CHAOS, {"t2": quantity_map("t2", Volume(array, geometry))})).statistics["t2"]
    assert found.mean is None
    assert found.remarks == (f"t2 has no value here: all {len(inside)} voxels are NaN, infinite or padding",)


def test_many_exact_zeros_are_said():
    geometry = grid()
    array = np.full(geometry.shape, 900.0, np.float32)
    array[:, :, ::4] = 0
    found = spleen_of(measure(labelmap_of(geometry), CHAOS, {"t1": quantity_map("t1", Volume(array, geometry))}))
    assert "are exactly 0: a map may mark a failed fit so" in found.statistics["t1"].remarks[0]


@pytest.mark.parametrize(
    ("name", "low", "high", "words"),
    [
        ("pdff", 0.02, 0.9, "no value of pdff is above 0.9: is it a fraction from 0 to 1, not in %?"),
        ("PDFF", 0, 900, "many values of PDFF are far above 100 %: is it stored in tenths of a percent?"),
        ("t1", 0.3, 2.5, "no value of t1 is above 2.5: is it in s, not in ms?"),
        ("r2*", 0.03, 0.5, "no value of r2* is above 0.5: is it in 1/ms, not in /s?"),
        ("pdff", -5, 104, ""), ("t1", 300, 2500, ""), ("r2*", 20, 400, ""), ("adc", 0.001, 0.003, ""),
    ],
)  # fmt: skip
def test_values_that_contradict_the_unit_of_their_name_are_said(name, low, high, words):
    geometry = grid()
    values = Volume(np.linspace(low, high, int(np.prod(geometry.shape))).reshape(geometry.shape), geometry)
    found = spleen_of(measure(labelmap_of(geometry), CHAOS, {name: quantity_map(name, values)}))
    assert found.statistics[name].remarks == ((words,) if words else ())
    assert not quantity_map(name, values, "own").note


def test_erosion_leaves_out_the_edge_and_may_leave_nothing():
    geometry = grid()
    labels = labelmap_of(geometry)
    array = np.where(ellipsoid(geometry, np.array(HALF_AXES) - 4), 10.0, 70.0).astype(np.float32)
    maps = {"pdff": quantity_map("pdff", Volume(array, geometry))}
    plain = spleen_of(measure(labels, CHAOS, maps))
    eroded = spleen_of(measure(labels, CHAOS, maps, Rules(erosion_mm=6)))
    assert plain.statistics["pdff"].mean > 25
    assert eroded.statistics["pdff"].mean == pytest.approx(10, abs=0.5)
    assert eroded.volume_ml == plain.volume_ml
    gone = spleen_of(measure(labels, CHAOS, maps, Rules(erosion_mm=25))).statistics["pdff"]
    assert (gone.mean, gone.voxels, gone.covered) == (None, 0, None)
    assert gone.remarks == ("the erosion of 25 mm left nothing",)


def test_vessels_are_left_out_by_the_robust_rule():
    geometry = grid()
    random = np.random.default_rng(1)
    array = random.normal(100, 5, geometry.shape)
    array[:, ::6, ::6] = 300
    maps = {"image": QuantityMap(Volume(array.astype(np.float32), geometry))}
    all_voxels = spleen_of(measure(labelmap_of(geometry), CHAOS, maps)).statistics["image"]
    kept = spleen_of(measure(labelmap_of(geometry), CHAOS, maps, Rules(outliers=3))).statistics["image"]
    assert all_voxels.mean == pytest.approx(105.5, abs=1)
    assert kept.mean == pytest.approx(100, abs=0.3)
    assert kept.outliers + kept.voxels == all_voxels.voxels
    assert kept.sd == pytest.approx(5, abs=0.4)


def test_maps_of_others_are_refused():
    labels = replace(labelmap_of(grid()), metadata={"frame of reference": "1.2"})
    far = grid(shift=(500, 0, 0))
    with pytest.raises(InputError, match="map 't1' is nowhere in the same place as the segmentation seg"):
        measure(labels, CHAOS, {"t1": quantity_map("t1", Volume(np.ones(far.shape), far, "other"))})
    other = Volume(np.ones(grid().shape), grid(), "other", {"frame of reference": "1.3"})
    with pytest.raises(InputError, match="other: map 't1' and the segmentation seg have different frames of reference"):
        measure(labels, CHAOS, {"t1": quantity_map("t1", other)})
    same = replace(other, metadata={"frame of reference": "1.2"})
    assert spleen_of(measure(labels, CHAOS, {"t1": quantity_map("t1", same)})).statistics["t1"].mean == 1


@pytest.mark.parametrize(
    "values", [{"erosion_mm": -1}, {"erosion_mm": float("nan")}, {"outliers": 0}, {"outliers": 1e9}]
)
def test_rules_that_cannot_be_used_are_refused(values):
    with pytest.raises(UsageError, match="give 0"):
        Rules(**values)


def test_the_end_of_a_cropped_grid_need_not_be_the_images():
    labels = labelmap_of(grid())
    used = [np.flatnonzero((labels.array > 0).any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    box = tuple(slice(u[0], u[-1] + 1) for u in used)
    array = labels.array[box]
    geometry = labels.geometry.cropped([part.start for part in box[::-1]], array.shape[::-1])
    values = {"t1": quantity_map("t1", Volume(np.ones(grid().shape), grid()))}
    whole = spleen_of(measure(labels, CHAOS, values, Rules(erosion_mm=4)))
    cropped = Volume(array, geometry, "seg", {"cropped": True})
    found = spleen_of(measure(cropped, CHAOS, values, Rules(erosion_mm=4)))
    assert found.remarks == (
        "ends with the segmentation's own grid: if the image ends there too, its volume may be incomplete",
    )
    assert replace(found, remarks=(), is_cut=False) == whole
