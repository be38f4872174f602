"""Assembly gives exactly the labels of the full stack of classes."""

import numpy as np
import pytest

from LiverMRISegLib.inference.assembly import Canvas
from LiverMRISegLib.preparation import label_grid
from LiverMRISegLib.preparation.interpolation import (
    linear_weights,
    mean_weights,
    resize_cubic,
    resize_linear,
    resize_mean,
)
from LiverMRISegLib.preparation.label_grid import labels_of_slabs, labels_on_grid, nearest_labels_on_grid


def smooth_logits(classes: int, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(classes, 4, 4, 4)).astype(np.float32) * 3
    coarse[0] += 1.5
    return np.stack([resize_linear(c, shape) for c in coarse])


@pytest.mark.parametrize("shape", [(40, 44, 50), (9, 11, 13), (12, 5, 30), (1, 14, 17)])
@pytest.mark.parametrize("seed", range(4))
def test_same_labels_as_the_full_stack(shape, seed, monkeypatch):
    monkeypatch.setattr(label_grid, "_SLAB_VOXELS", 7 * shape[1] * shape[2])
    logits = smooth_logits(6, (12, 11, 13), seed)
    stack = np.stack([resize_linear(c, shape) for c in logits])
    labels = labels_on_grid(logits, shape)
    disagree = labels != stack.argmax(0)
    # Sums of products in another order may break a tie differently; nothing else may differ.
    top = np.sort(stack, axis=0)
    assert np.all((top[-1] - top[-2])[disagree] < 1e-5)
    assert disagree.mean() < 1e-3
    assert len(np.unique(labels)) > 2


@pytest.mark.parametrize("nearest_axis", [None, 0, 2])
@pytest.mark.parametrize("cuts", [(12,), (1, 2, 5, 12), tuple(range(1, 13)), (7, 7, 12)])
@pytest.mark.parametrize("shape", [(40, 44, 50), (12, 11, 13), (5, 11, 30), (1, 14, 17)])
def test_slab_by_slab_the_labels_are_the_same(shape, cuts, nearest_axis):
    logits = smooth_logits(5, (12, 11, 13), 3)
    slabs = (logits[:, start:stop] for start, stop in zip((0, *cuts), cuts, strict=False))
    labels = labels_of_slabs(slabs, (12, 11, 13), shape, nearest_axis)
    disagree = labels != labels_on_grid(logits, shape, nearest_axis)
    assert disagree.sum() <= 2  # a tie, by sums of products in another order


def test_interpolation_is_exact_for_linear_functions_inside_and_constant_beyond():
    weights = linear_weights(5, 20)
    values = weights @ np.arange(5.0)
    positions = (np.arange(20) + 0.5) / 4 - 0.5
    assert values == pytest.approx(np.clip(positions, 0, 4), abs=1e-6)
    assert weights.sum(1) == pytest.approx(np.ones(20), abs=1e-6)
    assert np.array_equal(linear_weights(7, 7), np.eye(7, dtype=np.float32))
    assert np.array_equal(linear_weights(1, 3), np.ones((3, 1), np.float32))


def test_overlapping_tiles_are_averaged_by_weight_and_gaps_are_background():
    canvas = Canvas(2, (1, 1, 4), 1, (slice(0, 1), slice(0, 1), slice(0, 4)))
    one = np.ones((1, 1, 2), np.float32)
    canvas.add((slice(0, 1), slice(0, 1), slice(0, 2)), np.full((2, 1, 1, 2), 2.0), one)
    canvas.add((slice(0, 1), slice(0, 1), slice(1, 3)), np.full((2, 1, 1, 2), 5.0), 2 * one)
    (mean,) = canvas.finished(1)
    assert mean[1, 0, 0].tolist() == [2.0, 4.0, 5.0, 0.0]
    assert mean[0, 0, 0].tolist() == [2.0, 4.0, 5.0, 20.0]


@pytest.mark.parametrize("inside", [slice(0, 30), slice(3, 26)])
def test_the_window_moves_on_and_nothing_is_lost(inside):
    """Tiles of ten planes, some left out; the window's means are those of a canvas that holds everything."""
    random = np.random.default_rng(0)
    box = (inside, slice(0, 4), slice(1, 5))
    canvas, total, weights = Canvas(3, (30, 4, 5), 10, box), np.zeros((3, 30, 4, 5)), np.zeros((30, 4, 5))
    slabs = []
    for start in (0, 4, 5, 17, 20):
        tile = (slice(start, start + 10), slice(0, 4), slice(0, 5))
        logits, weight = random.normal(size=(3, 10, 4, 5)).astype(np.float32), random.random((10, 4, 5))
        slabs += canvas.finished(start)
        canvas.add(tile, logits, weight.astype(np.float32))
        total[(slice(None), *tile)] += logits * weight
        weights[tile] += weight
    slabs += canvas.finished(30)
    total[0][weights == 0] = 20
    expected = (total / np.where(weights == 0, 1, weights))[(slice(None), *box)]
    assert np.allclose(np.concatenate(slabs, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 33, 13), (36, 11, 26), (7, 5, 6), (12, 11, 13)])
def test_labels_repeated_are_those_of_the_nearest_coarse_voxel(shape):
    logits = smooth_logits(4, (12, 11, 13), 0)
    coarse = logits.argmax(0)
    fine = nearest_labels_on_grid(coarse.astype(np.uint8), shape)
    assert fine.dtype == np.uint8
    for index in np.random.default_rng(0).integers(0, shape, (50, 3)):
        centre = [(i + 0.5) * s / t for i, s, t in zip(index, coarse.shape, shape, strict=True)]
        assert fine[tuple(index)] == coarse[tuple(int(c) for c in centre)]
    assert (labels_on_grid(logits, shape) == fine).mean() > 0.85


@pytest.mark.parametrize(("source", "target"), [(10, 5), (256, 107), (37, 36), (9, 9), (7, 20)])
def test_means_keep_the_sum_and_are_linear_where_nothing_becomes_coarser(source, target):
    weights = mean_weights(source, target)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-5)
    if target >= source:
        assert np.array_equal(weights, linear_weights(source, target))
    else:
        assert np.allclose(weights.sum(axis=0), target / source, rtol=0.25)  # every voxel counts, about equally


def test_means_average_noise_and_keep_an_edge_in_its_place():
    edge = np.zeros((4, 4, 60), np.float32)
    edge[..., 30:] = 1
    noise = np.random.default_rng(0).normal(size=(48, 48, 48)).astype(np.float32)
    coarse = (20, 20, 20)
    assert resize_mean(noise, coarse).std() < 0.6 * resize_linear(noise, coarse).std()
    assert resize_mean(edge, (4, 4, 25))[0, 0].tolist() == pytest.approx([0] * 12 + [0.5] + [1] * 12, abs=0.02)


def test_splines_blur_less_on_the_way_to_a_finer_grid_and_back():
    image = resize_linear(np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32), (12, 14, 16))
    fine = (24, 28, 33)
    lost = [np.abs(resize_linear(to(image, fine), image.shape) - image).mean() for to in (resize_linear, resize_cubic)]
    assert lost[1] < 0.6 * lost[0]
    constant = resize_cubic(np.full((5, 6, 7), 3.0, np.float32), (11, 13, 9))
    assert np.allclose(constant, 3.0, atol=1e-4)  # to the outer edges
