"""A coarse look finds where organs are: nothing beyond is computed, nothing within is changed, left stays left."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import all_directions, as_rows, oblique_directions
from LiverMRISegLib.inference.prediction import predict_logits, predict_slabs
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.region import region_of
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.specification import NNUNET, InferenceSpec, PreparationSpec
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
    inference = replace(spec.inference, region="a finder", region_margin=9.0, **changes.pop("inference", {}))
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
