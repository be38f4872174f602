"""Probabilities drawn to the image: outlines move to edges, parts of another brightness go, nothing else breaks."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import as_rows, oblique_directions
from LiverMRISegLib.inference.image_refinement import _links, refine_outlines, softmax
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.volume import Geometry, Volume, reorient

SHAPE = (30, 40, 44)


def scene(seed=0):
    """A shaded, noisy image of two organs in duller tissue, and the organs."""
    random = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, np.uint8)
    z, y, x = np.indices(SHAPE)
    truth[((z - 15) / 10) ** 2 + ((y - 18) / 12) ** 2 + ((x - 15) / 10) ** 2 < 1] = 1
    truth[((z - 14) / 6) ** 2 + ((y - 25) / 7) ** 2 + ((x - 34) / 6) ** 2 < 1] = 2
    image = np.array([1.0, 2.0, 3.0])[truth] * np.exp(0.3 * (x / 44 - 0.5)) + random.normal(0, 0.1, SHAPE)
    return image.astype(np.float32), truth


def unsure(truth, shift=2, classes=3):
    """Logits of the organs two voxels off, with soft outlines, and a piece of tissue that counts as organ 1."""
    moved = np.roll(truth, shift, axis=2)
    moved[12:18, 30:34, 12:18] = 1
    logits = np.stack([np.where(moved == c, 4.0, 0.0) for c in range(classes)]).astype(np.float32)
    for _ in range(3):
        for axis in (1, 2, 3):
            logits = (np.roll(logits, 1, axis) + logits + np.roll(logits, -1, axis)) / 3
    return logits


def dice(first, second):
    return 2 * np.logical_and(first, second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("seed", range(3))
def test_outlines_move_to_the_edges(seed):
    image, truth = scene(seed)
    logits = unsure(truth)
    before, after = logits.argmax(0), refine_outlines(logits, image).argmax(0)
    for value in (1, 2):
        assert dice(after == value, truth == value) > dice(before == value, truth == value) + 0.04
        assert dice(after == value, truth == value) > 0.9
    piece = (slice(13, 17), slice(31, 33), slice(13, 17))
    assert (before[piece] == 1).all()
    assert not (after[piece] == 1).any()  # the tissue is half as bright as the organ


@pytest.mark.parametrize("offset", [-0.7, 0.7])
def test_an_outline_is_moved_and_no_other_place_becomes_the_organ(offset):
    image, truth = scene(0)
    logits = unsure(truth)
    logits[1, 2:5, 2:5, 2:5] = logits[0, 2:5, 2:5, 2:5] - 0.1  # nearly an organ, far from it
    before = refine_outlines(logits, image)
    after = refine_outlines(logits, image, {1: offset})
    was, now = before.argmax(0) == 1, after.argmax(0) == 1
    assert (now.sum() > was.sum()) == (offset > 0)
    inner, outer = (was, now) if offset > 0 else (now, was)
    assert (outer & inner).sum() == inner.sum()
    assert not (outer & ~binary_dilation(inner, np.ones((3, 3, 3)), iterations=2)).any()
    assert np.allclose(after.sum(0), 1, atol=1e-5)
    assert np.array_equal(refine_outlines(logits, image, {1: 0.0}), before)


def test_they_are_probabilities_and_the_logits_stay():
    image, truth = scene()
    logits = unsure(truth)
    kept = logits.copy()
    found = refine_outlines(logits, image)
    assert found.dtype == np.float32
    assert np.array_equal(logits, kept)
    assert found.min() >= 0
    assert np.allclose(found.sum(0), 1, atol=1e-3)


def test_the_scale_of_the_image_does_not_matter():
    image, truth = scene()
    logits = unsure(truth)
    assert np.array_equal(refine_outlines(logits, image).argmax(0), refine_outlines(logits, 40 * image - 7).argmax(0))


@pytest.mark.parametrize("shape", [(1, 9, 9), (2, 2, 2), (9, 1, 12), (12, 12, 12)])
@pytest.mark.parametrize("image", ["flat", "noise"])
def test_odd_volumes_come_through(shape, image):
    random = np.random.default_rng(1)
    array = np.zeros(shape, np.float32) if image == "flat" else random.normal(size=shape).astype(np.float32)
    found = refine_outlines(random.normal(0, 4, (3, *shape)).astype(np.float32), array)
    assert np.isfinite(found).all()


def test_an_organ_that_is_not_refined_stays_as_the_network_drew_it():
    image, truth = scene()
    logits = unsure(truth)
    own, all_refined = softmax(logits), refine_outlines(logits, image)
    found = refine_outlines(logits, image, unrefined=[2])
    assert np.allclose(found[2], own[2], atol=1e-6)
    assert not np.allclose(all_refined[2], own[2], atol=0.1)
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5)
    apart = own[2] < 0.01  # elsewhere the others share what it leaves
    assert np.array_equal(found.argmax(0)[apart & (all_refined[2] < 0.01)],
                          all_refined.argmax(0)[apart & (all_refined[2] < 0.01)])  # fmt: skip
    assert dice(found.argmax(0) == 1, truth == 1) > 0.9


def test_where_no_organ_is_nothing_changes():
    image, _ = scene()
    logits = np.zeros((3, *SHAPE), np.float32)
    logits[0] = 5
    assert (refine_outlines(logits, image)[0] > 0.98).all()


def test_what_is_small_is_left_alone():
    image, truth = scene()
    truth = np.where(truth == 1, 1, 0).astype(np.uint8)
    truth[14:17, 30:33, 30:33] = 2  # as dark as the tissue around it
    logits = np.stack([np.where(truth == c, 4.0, 0.0) for c in range(3)]).astype(np.float32)
    assert ((refine_outlines(logits, image).argmax(0) == 2) == (truth == 2)).all()


def test_what_a_voxel_takes_adds_up_to_one():
    brightness = np.random.default_rng(2).normal(size=(4, 5, 6)).astype(np.float32)
    forward, backward, held = _links(brightness, np.full((4, 5, 6), 0.02, np.float32))
    assert np.allclose(sum(forward) + sum(backward) + held, 1, atol=1e-6)
    assert all((b.take(0, axis) == 0).all() and (f.take(-1, axis) == 0).all() for axis, (f, b) in
               enumerate(zip(forward, backward, strict=True)))  # fmt: skip


class ByBrightness:
    """An engine that takes what is bright as organ 1: every noisy voxel for itself."""

    batch, name, device = 1, "by brightness", "cpu"

    def predict(self, batch):
        zero = np.zeros_like(batch[:, 0])
        return np.stack([zero, 2 * (batch[:, 0] - 0.5), zero - 9], axis=1)


def test_a_package_asks_for_it(two_organ_package):
    image, truth = scene()
    image = np.where(truth == 1, 2.0, 1.0) + np.random.default_rng(5).normal(0, 0.3, SHAPE)
    volume = Volume(image.astype(np.float32), Geometry(SHAPE[::-1], (3.0, 3.0, 3.0)))
    found = {}
    for on in (False, True):
        spec = replace(two_organ_package.spec.inference, image_refinement=on)
        result = Segmenter(two_organ_package.run_by(spec), ByBrightness()).segment(volume)
        assert result.provenance["outlines drawn to the image"] is on
        found[on] = result.labelmap == 1
    assert dice(found[True], truth == 1) > dice(found[False], truth == 1) + 0.15


def test_a_package_names_organs_that_are_not_refined(two_organ_package):
    image, truth = scene()
    volume = Volume(image + np.where(truth == 1, 0.3, 0).astype(np.float32), Geometry(SHAPE[::-1], (3.0, 3.0, 3.0)))
    organ = two_organ_package.spec.labels.organs[0].name
    masks = []
    for chosen in ({}, {"image_refinement": True}, {"image_refinement": True, "unrefined": (organ, organ)}):
        spec = replace(two_organ_package.spec.inference, **chosen)
        masks.append(Segmenter(two_organ_package.run_by(spec), ByBrightness()).segment(volume).labelmap == 1)
    assert not np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], masks[2])


def test_it_is_written_into_the_package(tmp_path):
    spec = tiny_spec()
    organ = spec.labels.organs[0].name
    drawn = replace(spec, inference=replace(spec.inference, image_refinement=True, unrefined=(organ,)))
    path = save_package(drawn, random_weights(drawn), tmp_path / "drawn")
    read = ModelPackage.load(path).spec.inference
    assert (read.image_refinement, read.unrefined) == (True, (organ,))


@pytest.mark.parametrize("direction", oblique_directions())
def test_left_is_left_in_any_orientation(two_organ_package, direction):
    """The same scene in any orientation of the file: the organ that lies on one side only is found there."""
    image, truth = scene()
    geometry = Geometry(SHAPE[::-1], (3.0, 3.0, 3.0), direction=as_rows(direction))
    spec = replace(two_organ_package.spec.inference, image_refinement=True)
    segmenter = Segmenter(two_organ_package.run_by(spec), ByBrightness())
    for code in ("LPS", "RAS", "PIR"):
        volume, labels = (reorient(Volume(array, geometry), code) for array in (image, truth))
        found = segmenter.segment(volume).labelmap
        assert dice(found == 1, labels.array > 0) > 0.85


def test_air_that_no_tile_computed_is_background(two_organ_package):
    """Also for an organ that is sure of nothing, and so has no look of its own."""
    image, _ = scene()
    wide = np.full((60, 80, 200), -5.0, np.float32)
    wide[:30, :40, :44] = image
    spec = replace(two_organ_package.spec.inference, image_refinement=True)
    found = predict_logits(wide, ByBrightness(), 3, spec, progress=silent, cancel=CancelToken())
    probabilities = refine_outlines(found, wide)
    assert (probabilities[0][:, :, 100:] > 0.99).all()
