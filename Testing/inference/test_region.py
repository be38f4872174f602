"""A coarse look finds where organs are: nothing beyond is computed, nothing within is changed, left stays left."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.volumes import all_directions, as_rows, oblique_directions
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.region import body_of, is_cut, region_of
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.tiled_network import predict_logits, predict_slabs
from LiverMRISegLib.models.package.specification import BODY, NNUNET, InferenceSpec, PreparationSpec
from LiverMRISegLib.pseudo_labels.pseudo_label import fold_labels
from LiverMRISegLib.volume import Geometry, Volume

MIDDLE = np.array([20.0, -30.0, 40.0])
SIZE, SPACING = (44, 36, 30), (2.0, 3.0, 4.0)


class Brighter:
    """An engine whose class 1 is what is brighter than a threshold; it counts its tiles."""

    name, device, batch = "brighter", "cpu", 1

    def __init__(self, threshold):
        self.threshold, self.tiles = threshold, 0

    def predict(self, batch):
        self.tiles += len(batch)
        bright = batch[:, 0] - self.threshold
        return np.stack([-bright, bright, np.full_like(bright, -99.0)], axis=1)


@pytest.fixture
def package(two_organ_package):
    spec = two_organ_package.spec
    spec = replace(spec, preparation=replace(spec.preparation, normalisation="none"))
    return replace(two_organ_package, spec=spec)


def two_balls(direction):
    """A bright ball at the patient's left and a fainter one at the right, and the mask of the bright one."""
    matrix = np.array(direction)
    origin = MIDDLE - matrix @ ((np.array(SIZE) - 1) / 2 * np.array(SPACING))
    geometry = Geometry(SIZE, SPACING, tuple(origin), as_rows(matrix))
    z, y, x = np.indices(geometry.shape)
    points = np.stack([x, y, z], -1) * np.array(SPACING) @ matrix.T + origin
    image = np.zeros(geometry.shape, np.float32)
    near = {}
    for bright, shift in ((200.0, 24.0), (100.0, -24.0)):
        distance = np.linalg.norm(points - (MIDDLE + np.array((shift, 5.0, -2.0))), axis=-1)
        near[bright] = distance < 12
        image[near[bright]] = bright
    return Volume(image, geometry), near[200.0], near[100.0]


def segmenters(package, **changes):
    spec = package.spec
    asked = {"region_margin": 9.0, **changes.pop("inference", {})}
    inference = replace(spec.inference, region="a finder", **asked)
    whole = Segmenter(replace(package, spec=replace(spec, **changes)), Brighter(50))
    within = Segmenter(replace(package, spec=replace(spec, **changes, inference=inference)), Brighter(50))
    within._finder = Segmenter(package, Brighter(150))
    return whole, within


@pytest.mark.parametrize("direction", [*all_directions()[::5], *oblique_directions()])
@pytest.mark.parametrize("scheme", ["own", NNUNET])
def test_only_what_the_finder_saw_is_segmented(package, direction, scheme):
    preparation = package.spec.preparation
    if scheme == NNUNET:
        preparation = PreparationSpec((3.0, 4.0, 3.0), None, "none", scheme=NNUNET, transpose=(1, 2, 0))
    whole, within = segmenters(package, preparation=preparation)
    volume, bright, faint = two_balls(direction)
    everything, found = (s.segment(volume).labelmap == 1 for s in (whole, within))
    assert everything[faint].mean() > 0.9
    assert not found[faint].any()
    assert np.array_equal(found & bright, everything & bright)
    assert within.engine.tiles < whole.engine.tiles
    assert np.array_equal(fold_labels(volume, [within])[1] == 1, found)  # a label for training is looked for there too


def test_nothing_found_means_the_whole_image(package, caplog):
    whole, within = segmenters(package)
    within._finder = Segmenter(package, Brighter(1e6))
    volume, _, _ = two_balls(np.eye(3))
    assert np.array_equal(whole.segment(volume).labelmap, within.segment(volume).labelmap)
    assert "found no organ" in caplog.text


def test_a_package_names_its_finder(package):
    spec = replace(package.spec, inference=replace(package.spec.inference, region="liver-any-sequence"))
    segmenter = Segmenter(replace(package, spec=spec), Brighter(50))
    volume, _, _ = two_balls(np.eye(3))
    segmenter.segment(volume)
    assert segmenter._finder.package.spec.name == "liver-any-sequence"


@pytest.mark.parametrize("direction", [*all_directions()[::5], *oblique_directions()])
def test_tiles_beside_the_body_are_left_out_and_the_labels_stay(package, direction):
    volume, bright, _ = two_balls(direction)
    image = volume.array.copy()
    image[0, 0, 0] = 100  # noise in the corner does not count
    volume = replace(volume, array=image)
    spec = replace(package.spec, inference=replace(package.spec.inference, patch=(12, 12, 12)))
    within = replace(spec, inference=replace(spec.inference, region=BODY, region_margin=4.0))
    segmenters = [Segmenter(replace(package, spec=s), Brighter(50)) for s in (spec, within)]
    everything, found = (s.segment(volume).labelmap for s in segmenters)
    assert everything[bright].mean() > 0.9
    everything[0, 0, 0] = 0
    assert np.array_equal(found, everything)
    assert segmenters[1].engine.tiles < segmenters[0].engine.tiles


def test_the_body_is_what_more_than_single_voxels_are_brighter_than_air():
    image = np.zeros((20, 20, 20), np.float32)
    image[4:16, 5:15, 6:20] = 1.0
    image[0, 19, 0] = 3.0
    truth = np.zeros(image.shape, bool)
    truth[4:16, 5:15, 6:20] = True
    assert np.array_equal(body_of(image), truth)


@pytest.mark.parametrize("code", [np.eye(3), *oblique_directions()])
def test_a_region_that_cuts_an_organ_is_left_for_the_whole_image(package, code, caplog):
    """The finder sees only the core of a ball whose edge lies beyond the margin."""
    caplog.set_level("INFO", "LiverMRISegLib.inference.prediction")
    whole, within = segmenters(package, inference={"patch": (2, 2, 2), "region_margin": 0.0})
    volume, _, _ = two_balls(code)
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(volume.array), 1.5))
    volume = replace(volume, array=smooth)
    found = within.segment(volume)
    assert np.array_equal(whole.segment(volume).labelmap, found.labelmap)
    assert found.provenance["region"] == "the whole image"
    assert "reach the edge" in caplog.text


def test_only_faces_inside_the_image_cut():
    labels = np.zeros((10, 20, 40), np.uint8)
    labels[0:3, 5:9, 30:33] = 1
    grid = (20, 20, 20)
    assert not is_cut(labels, grid, (slice(0, 8), slice(3, 12), slice(12, 19)))
    assert is_cut(labels, grid, (slice(2, 8), slice(3, 12), slice(12, 19)))
    assert is_cut(labels, grid, (slice(0, 8), slice(3, 9), slice(12, 19)))
    assert is_cut(labels, grid, (slice(0, 8), slice(3, 12), slice(16, 20)))


def test_voxels_that_are_no_numbers_are_refused(package):
    volume, _, _ = two_balls(np.eye(3))
    volume.array[3, 3, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        segmenters(package)[0].segment(volume)


def test_the_box_has_a_margin_stays_inside_and_is_no_smaller_than_the_patch():
    labels = np.zeros((10, 20, 30), np.uint8)
    labels[4:6, 0:3, 29] = 7
    region = region_of(labels, (20, 20, 60), (1.0, 2.0, 3.0), 4.0, (4, 8, 16))
    assert region == (slice(4, 16), slice(0, 8), slice(44, 60))
    assert region_of(labels, (20, 20, 60), (1.0, 2.0, 3.0), 0.0, (50, 1, 1)) == (
        slice(0, 20),
        slice(0, 3),
        slice(58, 60),
    )
    assert region_of(np.zeros((2, 2, 2)), (4, 4, 4), (1, 1, 1), 1.0, (1, 1, 1)) is None


@pytest.mark.parametrize("shape", [(30, 40, 35), (8, 40, 12)])
def test_tiles_of_a_region_cover_it_in_padded_images_too(shape):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    spec = InferenceSpec((12, 12, 12))
    region = tuple(slice(min(3, n - 1), min(n, 18)) for n in shape)
    region = tuple(slice(0, n) if p.stop - p.start < 12 else p for p, n in zip(region, shape, strict=True))
    options = {"progress": silent, "cancel": CancelToken()}
    whole = predict_logits(image, Brighter(0.0), 3, spec, **options)
    part = np.concatenate(list(predict_slabs(image, Brighter(0.0), 3, spec, region=region, **options)), axis=1)
    assert np.allclose(part[(slice(None), *region)], whole[(slice(None), *region)], atol=1e-5)
    outside = np.ones(shape, bool)
    outside[region] = False
    assert (part.argmax(0)[outside] == 0).all()
