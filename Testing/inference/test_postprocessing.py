"""Clean-up and flags, one rule at a time."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.inference.postprocessing import postprocess
from LiverMRISegLib.inference.quality import flags
from LiverMRISegLib.measurement.label_shapes import bounding_boxes, component_sizes, volumes_ml
from LiverMRISegLib.models.package.specification import OrganRule, PreparationSpec
from LiverMRISegLib.preparation.normalisation import normalise
from LiverMRISegLib.preparation.own_scheme import prepare
from LiverMRISegLib.training.packaging import organ_rules
from LiverMRISegLib.volume import Geometry, Volume

GEOMETRY = Geometry((30, 30, 30), (10.0, 10.0, 10.0))


def image(array=None):
    values = np.random.default_rng(0).uniform(1, 300, GEOMETRY.shape) if array is None else array
    return Volume(values.astype(np.float32), GEOMETRY)


def two_lumps():
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    labels[20:23, 20:23, 20:23] = 1
    return labels


def cleaned(labels, **rule):
    postprocess(labels, CHAOS, {"liver": OrganRule(**rule)}, GEOMETRY)
    return labels


def test_largest_component():
    assert (cleaned(two_lumps(), keep_largest=True) == 1).sum() == 1000


def test_smallest_volume():
    assert (cleaned(two_lumps(), minimum_ml=27.0) == 1).sum() == 1027
    assert (cleaned(two_lumps(), minimum_ml=28.0) == 1).sum() == 1000
    assert (cleaned(two_lumps(), minimum_ml=2000.0) == 1).sum() == 0


def test_holes_are_filled_only_where_nothing_is():
    labels = two_lumps()
    labels[8, 8, 8], labels[10, 10, 10] = 0, 4
    filled = cleaned(labels, fill_holes=True)
    assert filled[8, 8, 8] == 1
    assert filled[10, 10, 10] == 4


def test_what_is_dropped_from_an_organ_draws_no_other_near_it():
    labels = two_lumps()
    labels[20:23, 20:23, 24:26] = 4  # beside the liver's stray lump
    rules = {"spleen": OrganRule(near="liver", near_mm=20.0), "liver": OrganRule(keep_largest=True)}
    postprocess(labels, CHAOS, rules, GEOMETRY)
    assert not (labels == 4).any()


def test_a_hole_that_another_organ_leaves_is_filled():
    labels = two_lumps()
    labels[9:11, 9:11, 9:11], labels[25:28, 25:28, 25:28] = 4, 4
    postprocess(labels, CHAOS, {"liver": OrganRule(fill_holes=True), "spleen": OrganRule(keep_largest=True)}, GEOMETRY)
    assert (labels[5:15, 5:15, 5:15] == 1).all()


def test_organs_without_a_rule_are_left_alone():
    labels = two_lumps() * 4
    before = labels.copy()
    postprocess(labels, CHAOS, {"liver": OrganRule(keep_largest=True)}, GEOMETRY)
    assert np.array_equal(labels, before)


def test_boxes_and_components():
    boxes = bounding_boxes(two_lumps())
    assert boxes == {1: (slice(5, 23),) * 3}
    assert component_sizes(two_lumps() == 1) == [1000, 27]
    assert bounding_boxes(np.zeros((4, 5, 6), np.uint8)) == {}


def test_every_flag():
    spec = replace(tiny_spec(), postprocessing={"liver": OrganRule(plausible_ml=(2000.0, 3000.0))})
    labels = two_lumps()
    labels[0:6, 20:26, 5:10] = 2
    words = flags(image(), labels, CHAOS, spec)
    assert words == [
        "liver consists of 2 separate parts",
        "liver has 1027 mL, unusually small (usual: 2000 to 3000 mL)",
        "right kidney touches the edge of the volume, its volume may be incomplete",
        "left kidney was not found",
        "spleen was not found",
    ]
    assert [(word.organ, word.kind) for word in words] == [
        ("liver", "parts"), ("liver", "volume"), ("right kidney", "edge"),
        ("left kidney", "not found"), ("spleen", "not found"),
    ]  # fmt: skip
    assert volumes_ml(labels, CHAOS, 1.0) == {"liver": 1027, "right kidney": 180, "left kidney": 0, "spleen": 0}


@pytest.mark.parametrize(("voxels", "is_flagged"), [(1, False), (2, True)])
def test_a_sliver_at_the_edge_is_not_noteworthy(voxels, is_flagged):
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[1:11, 5:15, 5:15] = 1
    labels[0, 5, 5 : 5 + voxels] = 1
    words = flags(image(), labels, CHAOS, tiny_spec())
    assert any("liver touches the edge" in word for word in words) == is_flagged


@pytest.mark.parametrize(("voxels", "is_flagged"), [(19, False), (22, True)])
def test_a_crumb_is_not_noteworthy(voxels, is_flagged):
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    labels[20, 20, 5 : 5 + voxels] = 1
    words = flags(image(), labels, CHAOS, tiny_spec())
    assert ("liver consists of 2 separate parts" in words) == is_flagged


def test_an_organ_that_is_there_never_has_0_ml():
    fine = Volume(image().array, Geometry(GEOMETRY.size, (3.0, 3.0, 3.0)))
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[15, 15, 15:19] = 1
    assert "liver has 0.11 mL, unusually small (usual: 500 to 3000 mL)" in flags(fine, labels, CHAOS, tiny_spec())


def test_an_organ_may_be_too_large():
    spec = replace(tiny_spec(), postprocessing={"liver": OrganRule(plausible_ml=(100.0, 1000.0))})
    assert "liver has 1027 mL, unusually large (usual: 100 to 1000 mL)" in flags(image(), two_lumps(), CHAOS, spec)


def test_dark_air_alone_is_not_a_ct():
    phase = np.where(np.indices(GEOMETRY.shape)[2] < 15, -1000, 1000)
    assert not any("MR" in word for word in flags(image(phase), two_lumps(), CHAOS, tiny_spec()))


def test_flags_of_the_input():
    spec = tiny_spec()
    hounsfield = np.where(np.indices(GEOMETRY.shape)[2] < 15, -1000, 40) + np.random.default_rng(0).integers(-9, 9, GEOMETRY.shape)  # fmt: skip  # noqa: E501
    odd = flags(image(hounsfield), two_lumps(), CHAOS, spec)[0]
    assert ("likely not MR" in odd, odd.organ, odd.kind) == (True, "", "input")
    told = replace(image(), metadata={"modality": "CT"})
    assert flags(told, two_lumps(), CHAOS, spec)[0] == "the input says it is CT, the model was made for MR"
    assert not any("MR" in word for word in flags(image(), two_lumps(), CHAOS, spec))
    turned = replace(image(), metadata={"orientation_unknown": True, "modality": "CT"})
    first, second = flags(turned, two_lumps(), CHAOS, spec)[:2]
    assert "left and right may be swapped" in first
    assert "it is CT" in second


@pytest.mark.parametrize("name", ["z-score", "percentile-z-score"])
def test_normalised_images_do_not_depend_on_scale(name):
    spec = PreparationSpec((1.0, 1.0, 1.0), normalisation=name)
    array = np.random.default_rng(0).gamma(2, 100, (20, 20, 20))
    first, second = normalise(array, spec), normalise(array * 37 + 5, spec)
    assert np.allclose(first, second, atol=1e-3)
    assert first.mean() == pytest.approx(0, abs=1e-4)
    assert first.std() == pytest.approx(1, abs=1e-3)


def test_other_normalisations():
    array = np.array([[[0.0, 0.0, 4.0, 6.0]]])
    kept = normalise(array, PreparationSpec((1.0, 1.0, 1.0), normalisation="z-score-nonzero"))
    assert kept.tolist() == [[[0.0, 0.0, -1.0, 1.0]]]
    dark = normalise(array, PreparationSpec((1.0, 1.0, 1.0), normalisation="z-score-positive"))
    assert dark.tolist() == [[[-5.0, -5.0, -1.0, 1.0]]]
    window = {"low": 1.0, "high": 5.0, "mean": 3.0, "std": 2.0}
    ct = normalise(array, PreparationSpec((1.0, 1.0, 1.0), normalisation="ct", intensity=window))
    assert ct.tolist() == [[[-1.0, -1.0, 0.5, 1.0]]]


def test_one_bright_voxel_does_not_darken_the_rest():
    array = np.random.default_rng(0).uniform(50, 150, (20, 20, 20))
    spoiled = array.copy()
    spoiled[0, 0, 0] = 1e6
    spec = PreparationSpec((1.0, 1.0, 1.0), normalisation="percentile-z-score")
    assert np.abs(normalise(array, spec) - normalise(spoiled, spec))[1:].max() < 0.1


@pytest.mark.parametrize(("order", "antialias"), [(1, False), (1, True), (3, False)])
def test_preparation_keeps_a_linear_ramp_in_place(order, antialias):
    volume = make_volume(size=(24, 24, 24), spacing=(2.0, 2.0, 2.0))
    ramp = Volume(np.indices(volume.array.shape)[2].astype(np.float32), volume.geometry)
    prepared = prepare(ramp, PreparationSpec((3.0, 3.0, 3.0), image_order=order, antialias=antialias))
    assert prepared.image.shape == (16, 16, 16)
    middle = prepared.image[8, 8, 3:-3]
    assert np.allclose(np.diff(middle), np.diff(middle)[0], atol=1e-3)
    assert np.array_equal(prepared.restore(np.zeros((24, 24, 24), np.uint8)).shape, ramp.array.shape)


def test_an_organ_far_from_where_it_belongs_is_dropped():
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    labels[8:10, 8:10, 17:19] = 4  # begins 20 mm beside the liver's box
    labels[8:10, 8:10, 25:27] = 4
    for margin, kept in ((0.0, 0), (20.0, 0), (30.0, 4), (40.0, 8), (200.0, 16)):
        found = labels.copy()
        postprocess(found, CHAOS, {"spleen": OrganRule(near="liver", near_mm=margin)}, GEOMETRY)
        assert (found == 4).sum() == kept
        assert (found == 1).sum() == 1000
    alone = np.where(labels == 1, 0, labels).astype(np.uint8)
    postprocess(alone, CHAOS, {"spleen": OrganRule(near="liver", near_mm=0.0)}, GEOMETRY)
    assert (alone == 4).sum() == 16


def test_the_usual_rules_name_only_organs_of_the_model():
    rules = organ_rules(["liver", "gallbladder", "left adrenal gland"])
    assert rules["gallbladder"].near == "liver"
    assert rules["gallbladder"].minimum_ml > 0
    assert rules["left adrenal gland"].near == ""
