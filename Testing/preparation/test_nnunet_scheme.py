"""The way to the network and back is nnU-Net's own, to the last voxel: against values that nnunetv2 2.8.1 computed."""

import numpy as np
import pytest
from scipy import ndimage

from helpers.volumes import all_directions, make_volume
from LiverMRISegLib.models.package.specification import NNUNET, PreparationSpec
from LiverMRISegLib.preparation.interpolation import cubic_weights, nearest_weights
from LiverMRISegLib.preparation.label_grid import labels_on_grid
from LiverMRISegLib.preparation.nnunet_scheme import (
    filled,
    lowest_resolution_axis,
    nonzero_box,
    normalised,
    prepare_as_nnunet,
    resize_as_nnunet,
)
from LiverMRISegLib.volume import Geometry, Volume
from nnunet_folder import INTENSITY

CT = {"low": INTENSITY["percentile_00_5"], "high": INTENSITY["percentile_99_5"],
      "mean": INTENSITY["mean"], "std": INTENSITY["std"]}  # fmt: skip
# Normalisation, spacing of the array, target spacing, transposition; the input's shape, mean, deviation and values at
# four places; the labels' counts and checksum. By nnunetv2 2.8.1's DefaultPreprocessor and
# convert_predicted_logits_to_segmentation_with_correct_shape on `image()` and `logits()`.
FROZEN = [
    ("z-score", (3, 1.5, 1.2), (2, 2, 2), (0, 1, 2), (12, 14, 9), 0.000662, 0.983135,
     [1.18001, -0.96803, 0.6118, 0.57663], [1515, 982, 743], 118137),
    ("z-score-nonzero", (8, 1.5, 1.2), (6, 1.0, 2.0), (0, 1, 2), (11, 27, 9), -0.014072, 0.994858,
     [1.09776, 0.20051, -0.7959, 0.6138], [1995, 357, 888], 101862),
    ("ct", (2, 1.5, 1.2), (1, 3, 1.6), (2, 0, 1), (18, 5, 17), 0.217764, 1.188361,
     [1.17043, -1.24783, -1.41967, 0.90509], [1481, 845, 914], 127815),
    ("unit-range", (1.5, 8.0, 1.2), (6.0, 1.5, 2.0), (1, 0, 2), (24, 8, 9), 0.511867, 0.283415,
     [0.81976, 0.23999, 0.34371, 0.69297], [1573, 992, 675], 111933),
    ("none", (2, 1.5, 1.2), (2, 1.5, 1.2), (0, 1, 2), (8, 18, 15), 199.394595, 110.695017,
     [326.55652, 225.34605, 287.87061, 216.09254], [1778, 771, 691], 103285),
]  # fmt: skip


def image() -> np.ndarray:
    j = np.arange(9 * 20 * 18, dtype=np.float64)
    made = (200 + 150 * np.sin(0.37 * j) + 40 * np.cos(0.0113 * j)).reshape(9, 20, 18).astype(np.float32)
    made[:1] = 0
    made[:, :2] = 0
    made[:, :, -3:] = 0
    made[4:6, 8:11, 7:9] = 0
    return made


def logits(shape) -> np.ndarray:
    j = np.arange(3 * np.prod(shape), dtype=np.float64)
    return (2 * np.sin(0.7 * j) + np.cos(0.0031 * j)).reshape(3, *shape).astype(np.float32)


def spec_of(normalisation="z-score", spacing=(2.0, 2.0, 2.0), **more) -> PreparationSpec:
    intensity = CT if normalisation == "ct" else {}
    spacing = tuple(float(s) for s in spacing)
    return PreparationSpec(spacing, None, normalisation, 3, intensity, scheme=NNUNET, **more)


def volume_of(array, spacing) -> Volume:
    return Volume(array, Geometry(array.shape[::-1], tuple(float(s) for s in spacing[::-1])))


@pytest.mark.parametrize("case", FROZEN, ids=[case[0] for case in FROZEN])
def test_input_and_labels_are_those_of_nnunet(case):
    normalisation, spacing, target, transpose, shape, mean, deviation, values, counts, checksum = case
    given = image()
    prepared = prepare_as_nnunet(volume_of(given, spacing), spec_of(normalisation, target, transpose=transpose))
    assert np.array_equal(given, image())
    assert prepared.image.shape == shape
    assert prepared.image.dtype == np.float32
    flat = prepared.image.reshape(-1)
    assert flat.mean(dtype=float) == pytest.approx(mean, abs=1e-5, rel=1e-6)
    assert flat.std(dtype=float) == pytest.approx(deviation, abs=1e-5, rel=1e-6)
    assert flat[[0, flat.size // 3, flat.size // 2, flat.size - 2]] == pytest.approx(values, abs=2e-5, rel=1e-6)
    labels = prepared.restore(labels_on_grid(logits(shape), prepared.shape, prepared.nearest_axis))
    assert labels.shape == given.shape
    assert np.bincount(labels.reshape(-1)).tolist() == counts
    assert int((labels.reshape(-1).astype(int) * (np.arange(labels.size) % 97)).sum()) == checksum


@pytest.mark.parametrize(("source", "target"), [(9, 14), (14, 9), (30, 7), (1, 4), (2, 3), (40, 80)])
def test_weights_are_scipys(source, target):
    values = np.random.default_rng(source).normal(size=source)
    options = {"mode": "nearest", "grid_mode": True}
    cubic = ndimage.zoom(values, target / source, order=3, **options)
    assert cubic_weights(source, target) @ values == pytest.approx(cubic, abs=1e-5)
    places = (np.arange(target) + 0.5) * (source / target) - 0.5
    nearest = ndimage.map_coordinates(values, places[None], order=0, mode="nearest")
    assert nearest_weights(source, target) @ values == pytest.approx(nearest, abs=1e-6)


def test_same_size_is_the_same_array():
    made = image()
    assert resize_as_nnunet(made, made.shape, None, 3) is made
    assert np.array_equal(cubic_weights(5, 5), np.eye(5))


def test_splines_stay_within_the_range():
    step = np.zeros((6, 8, 8), np.float32)
    step[3:, 4:] = 100.0
    for axis in (None, 0):
        resized = resize_as_nnunet(step, (9, 15, 13), axis, 3)
        assert (resized.min(), resized.max()) == (0.0, 100.0)
    assert resize_as_nnunet(step, (9, 15, 13), 0, 3)[:4].max() == 0.0


@pytest.mark.parametrize(
    ("first", "second", "axis"),
    [
        ((3, 1, 1), (1, 1, 1), None),
        ((3.1, 1, 1), (1, 1, 1), 0),
        ((1, 1, 1), (1, 1, 4), 2),
        ((1, 4, 1), (5, 1, 1), 1),
        ((0.2, 1.2, 1.2), (5, 1, 1), None),
    ],
)
def test_which_axis_is_not_interpolated(first, second, axis):
    assert lowest_resolution_axis(first, second) == axis


def test_holes_are_inside_and_the_rest_stays_zero():
    made = image()
    box = nonzero_box(made)
    assert box == (slice(1, 9), slice(2, 20), slice(0, 15))
    inside = filled(made[box] != 0)
    result = normalised(made[box], spec_of("z-score-nonzero"), inside)
    assert np.array_equal(inside, ndimage.binary_fill_holes(made[box] != 0))
    assert inside.sum() > (made[box] != 0).sum()
    assert result[inside].mean() == pytest.approx(0, abs=1e-5)
    assert result[inside].std() == pytest.approx(1, abs=1e-5)
    cube = np.zeros((7, 7, 7), np.float32)
    cube[1:6, 1:6, 1:6] = np.arange(125).reshape(5, 5, 5) + 1
    cube[3, 3, :4] = 0  # a channel to the outside is no hole
    assert np.array_equal(filled(cube != 0), ndimage.binary_fill_holes(cube != 0))
    found = normalised(cube, spec_of("z-score-nonzero"), filled(cube != 0))
    assert np.array_equal(found == 0, ~ndimage.binary_fill_holes(cube != 0))


def test_nothing_but_zeros_is_kept_whole():
    assert nonzero_box(np.zeros((2, 3, 4))) == (slice(0, 2), slice(0, 3), slice(0, 4))
    nothing = np.zeros((2, 3, 4), np.float32)
    assert normalised(nothing, spec_of("z-score-nonzero"), filled(nothing != 0)).max() == 0


@pytest.mark.parametrize("orientation", [None, "RAS"])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_labels_come_back_to_where_they_were_in_every_orientation(orientation, transpose):
    for direction in all_directions():
        volume = make_volume(direction, size=(7, 6, 5))
        volume.array[0] = volume.array[:, -1] = 0
        spec = PreparationSpec((1.0, 1.0, 1.0), orientation, "none", scheme=NNUNET, transpose=transpose)
        prepared = prepare_as_nnunet(volume, spec)
        code = volume.geometry.orientation
        ordered = prepared.change.apply(volume.array).transpose(transpose)
        labels = (ordered[prepared.box] > 200).astype(np.uint8)
        assert prepared.shape == labels.shape
        assert np.array_equal(prepared.restore(labels), (volume.array > 200).astype(np.uint8)), code
        if orientation:
            assert prepared.change.apply_to_geometry(volume.geometry).orientation == orientation
        else:
            assert np.array_equal(prepared.change.apply(volume.array), volume.array)
