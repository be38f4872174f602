"""A long field of view: the chest alone fools a network, so the abdomen is looked at apart; vessels go on beyond it."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import all_directions, as_rows
from LiverMRISegLib.anatomy import AORTA, IGNORE, LIVER, SPLEEN, LabelSet
from LiverMRISegLib.inference.abdomen import abdomen_of
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import ABDOMEN, BODY, InferenceSpec, PreparationSpec
from LiverMRISegLib.pseudo_labels.pseudo_label import fold_labels
from LiverMRISegLib.volume import Geometry, Volume, reorient

LABELS = LabelSet("three", {1: LIVER, 2: SPLEEN, 3: AORTA})
CHEST, SKIN = 4, 6
SPACING = 10.0


class FooledByTheChest:
    """Labels by brightness; where a tile has chest but no liver, the chest is the spleen."""

    name, device, batch = "fooled", "cpu", 1

    def __init__(self):
        self.tiles = 0

    def predict(self, batch):
        self.tiles += 1
        image = np.rint(batch[0, 0]).astype(int)
        fooled = not (image == 1).any()
        found = np.where(image == CHEST, 2 if fooled else 0, image)
        return np.eye(5, dtype=np.float32)[found].transpose(3, 0, 1, 2)[None] * 9


def body(height=60):
    """From foot to head, in cm: 10 to 26 liver and spleen, from 29 chest, the aorta through all of it."""
    image = np.zeros((height, 12, 16), np.float32)
    image[29 : height - 1, 2:10, 8:14] = CHEST
    image[10:26, 2:10, 1:7] = 1
    image[18:26, 6:10, 11:15] = 2
    image[1 : height - 1, 5, 7] = 3
    return Volume(image, Geometry((16, 12, height), (SPACING,) * 3), "body")


def turned(volume, direction):
    """The same body, stored along other axes."""
    code = Geometry((1, 1, 1), direction=as_rows(direction)).orientation
    return reorient(volume, code)


@pytest.fixture
def segmenter_of(tmp_path):
    def make(region):
        spec = replace(
            tiny_spec(),
            labels=LABELS,
            preparation=PreparationSpec((SPACING,) * 3, normalisation="none"),
            inference=InferenceSpec((20, 12, 16), region=region, region_margin=0.0),
            postprocessing={},
        )
        package = ModelPackage.load(save_package(spec, random_weights(spec), tmp_path / region))
        return Segmenter(package, FooledByTheChest())

    return make


def expected(volume):
    return np.where(volume.array == CHEST, 0, volume.array)


@pytest.mark.parametrize("direction", all_directions()[::7])
def test_organs_are_where_they_are_and_the_aorta_goes_through(segmenter_of, direction):
    volume = turned(body(), direction)
    once, twice = segmenter_of(BODY), segmenter_of(ABDOMEN)
    assert (once.segment(volume).labelmap == 2).sum() > 2 * (volume.array == 2).sum()
    result = twice.segment(volume)
    assert np.array_equal(result.labelmap, expected(volume))
    assert result.provenance["region"] == ABDOMEN
    assert np.array_equal(fold_labels(volume, [twice])[1], result.labelmap)


class UnsureOfTheSkin(FooledByTheChest):
    """There all classes are as likely."""

    def predict(self, batch):
        skin = batch[0, 0] == SKIN
        found = super().predict(np.where(batch == SKIN, 0, batch))
        found[0, :, skin] = 0
        return found


def test_what_is_unsure_along_the_whole_body_does_not_stop_the_second_look(segmenter_of):
    """Pseudo labels leave it open; everything else they have as the segmenter does."""
    volume = body()
    volume.array[1:-1, 1, 7] = SKIN
    twice = segmenter_of(ABDOMEN)
    twice._fallback.engine = UnsureOfTheSkin()
    labels = fold_labels(volume, [twice], certainty=0.5)[1]
    is_open = labels == IGNORE
    assert is_open[volume.array == SKIN].all()
    assert np.array_equal(labels[~is_open], expected(volume)[~is_open])
    assert (labels == 2).sum() == (volume.array == 2).sum()


def test_a_field_of_view_that_ends_near_the_liver_is_looked_at_once(segmenter_of):
    once, twice = segmenter_of(BODY), segmenter_of(ABDOMEN)
    volume = body(height=35)
    result = twice.segment(volume)
    alone = once.segment(volume)
    assert np.array_equal(alone.labelmap, result.labelmap)
    assert result.provenance["region"] == alone.provenance["region"]
    assert twice.engine.tiles == once.engine.tiles


def test_a_second_look_that_loses_the_liver_is_not_believed(segmenter_of, caplog):
    caplog.set_level("INFO", "LiverMRISegLib.inference.prediction")
    once, twice = segmenter_of(BODY), segmenter_of(ABDOMEN)
    first = once.segment(body()).labelmap
    twice._fallback.engine = LosesTheLiver(after=once.engine.tiles)
    assert np.array_equal(twice.segment(body()).labelmap, first)
    assert "the first look stays" in caplog.text


class LosesTheLiver(FooledByTheChest):
    """Finds none in the second look, whose tiles come after those of the first."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def predict(self, batch):
        found = super().predict(batch)
        if self.after < self.tiles <= self.after + 3:
            found[:, 1] = -99
        return found


def test_the_part_is_as_high_as_the_patch_and_stays_inside():
    labels = np.zeros((60, 4, 4), np.uint8)
    labels[20:30] = 1
    shape, spacing = (60, 12, 16), (SPACING,) * 3
    part = abdomen_of(labels, LABELS, shape, spacing, 20)
    assert part == (slice(3, 35), slice(0, 12), slice(0, 16))
    assert abdomen_of(labels, LABELS, shape, spacing, 40)[0] == slice(0, 40)
    assert abdomen_of(labels, LABELS, shape, spacing, 80)[0] == slice(0, 60)
    assert abdomen_of(np.zeros_like(labels), LABELS, shape, spacing, 20) is None
    labels[56:59] = 1  # something smaller in the neck
    assert abdomen_of(labels, LABELS, shape, spacing, 20) == part
