"""The trust in an outline: from the signs of one pass, by the weights of the model's package."""

import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import LEFT_KIDNEY, LIVER, LabelSet
from LiverMRISegLib.inference import score_watch
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegLib.inference.flag import TRUST
from LiverMRISegLib.inference.prediction import labels_by, prepared_by, restored, score_slabs
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.trust import first_to_check, signs_of, trust_flags, trust_of
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import TRUST_SIGNS, InferenceSpec, PreparationSpec, TrustSpec
from LiverMRISegLib.volume import Geometry, Volume

WEIGHTS = TrustSpec(-0.5, {"expected dice": 1.0}, 0.8, "nothing")


class Brightness:
    """Class 1 where an image is 1, class 2 where it is 2; as sure as `sureness` (a logit) says."""

    name, device, batch = "brightness", "cpu", 1

    def __init__(self, sureness):
        self.sureness = sureness

    def predict(self, batch):
        found = np.rint(batch[0, 0]).astype(int).clip(0, 2)
        return np.eye(3, dtype=np.float32)[found].transpose(3, 0, 1, 2)[None] * self.sureness


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    spec = replace(
        tiny_spec(),
        labels=LabelSet("two", {1: LIVER, 2: LEFT_KIDNEY}),
        network=replace(tiny_spec().network, kwargs={**tiny_spec().network.kwargs, "out_channels": 3}),
        preparation=PreparationSpec((10.0, 10.0, 10.0), normalisation="none"),
        inference=InferenceSpec((16, 16, 16)),
        postprocessing={},
        trust=WEIGHTS,
    )
    return ModelPackage.load(save_package(spec, random_weights(spec), tmp_path_factory.mktemp("models") / "trusted"))


@pytest.fixture(scope="module")
def volume():
    """A liver, and a left kidney where kidneys are."""
    image = np.zeros((30, 24, 34), np.float32)
    image[12:24, 6:18, 4:16] = 1
    image[8:14, 12:17, 20:25] = 2
    return Volume(image, Geometry((34, 24, 30), (10.0,) * 3), "body")


def test_what_the_network_is_less_sure_of_is_trusted_less(package, volume):
    sure, unsure = (Segmenter(package, Brightness(sureness)).segment(volume) for sureness in (9.0, 1.0))
    assert np.array_equal(sure.labelmap, unsure.labelmap)
    for organ in ("liver", "left kidney"):
        assert set(sure.trust_signs[organ]) == set(TRUST_SIGNS)
        assert sure.trust[organ] == pytest.approx(1 / (1 + math.exp(0.5 - math.log(0.995 / 0.005))), abs=1e-3)
        assert unsure.trust[organ] < 0.6
    assert sure.flags == []
    lowest = min(unsure.trust, key=unsure.trust.get)
    assert next(flag for flag in unsure.flags if flag.kind == TRUST) == (
        f"{lowest} has trust {unsure.trust[lowest]:.2f}: check the outline"
    )
    assert sure.provenance["trust"] == "weights fitted on nothing"


def test_the_signs_of_a_known_result(package, volume):
    """In the liver p is e / (e + 2) at every voxel, and 1 / (e + 2) at every other of the body's box."""
    signs = Segmenter(package, Brightness(1.0)).segment(volume).trust_signs["liver"]
    inside, outside = math.e / (math.e + 2), 1 / (math.e + 2)
    voxels = 12**3
    assert signs["size"] == pytest.approx(math.log10(voxels))
    assert signs["probability"] == pytest.approx(math.log(inside / (1 - inside)), abs=0.01)
    elsewhere = signs["expected dice"]
    expected = 1 / (1 + math.exp(-elsewhere))
    others = 2 * inside * voxels / expected - voxels * (1 + inside)  # what is left of the sum of p
    computed = round(others / outside)
    assert 0 < computed < volume.array.size  # the voxels of the tiles that were computed, without the liver
    assert others == pytest.approx(computed * outside, rel=0.02)


def test_an_outline_that_was_moved_on_purpose_is_not_trusted_less(package, volume):
    """Refinement and offsets add a rim that the network does not call liver; what the clean-up took away counts."""
    result = Segmenter(package, Brightness(1.0)).segment(volume)
    prepared = prepared_by(package.spec, volume)
    watch = ScoreWatch(3)
    list(score_slabs(prepared, package.spec, Brightness(1.0), watch=watch))
    signs = {}
    for name, place in (
        ("same", np.s_[12:24, 6:18, 4:16]),
        ("rim", np.s_[11:25, 5:19, 3:17]),
        ("half", np.s_[12:18, 6:18, 4:16]),
    ):
        labelmap = np.zeros_like(result.labelmap)
        labelmap[place] = 1
        signs[name] = signs_of(watch, labelmap, prepared, package.spec)["liver"]
    assert signs["rim"] == signs["same"] == result.trust_signs["liver"]
    assert signs["half"]["expected dice"] < signs["same"]["expected dice"] - 0.3
    assert signs["half"]["size"] == pytest.approx(signs["same"]["size"] - math.log10(2))


def test_of_a_very_large_image_the_signs_are_those_of_the_voxels_that_are_kept(package, monkeypatch):
    """Labels between them would lose a rim at every outline."""
    image = np.zeros((30, 24, 34), np.float32)
    image[11:23, 5:17, 3:15] = 1
    segmenter, volume = Segmenter(package, Brightness(2.0)), Volume(image, Geometry((34, 24, 30), (10.0,) * 3))
    whole = segmenter.segment(volume).trust_signs["liver"]
    monkeypatch.setattr(score_watch, "_MOST_VOXELS", image.size // 8)
    every_second = segmenter.segment(volume).trust_signs["liver"]
    assert every_second["probability"] == pytest.approx(whole["probability"], abs=1e-3)
    assert every_second["size"] == pytest.approx(whole["size"])


def test_watching_changes_no_label(package):
    volume = make_volume(size=(30, 26, 20), spacing=(8.0, 8.0, 8.0))
    segmenter = Segmenter.load(package.path, device="cpu")
    spec, prepared = package.spec, prepared_by(package.spec, volume)
    found = labels_by(lambda where: score_slabs(prepared, spec, segmenter.engine, region=where), prepared, spec)
    assert np.array_equal(segmenter.segment(volume).labelmap, restored(found.channels, prepared, spec.labels))


def test_organs_that_were_not_asked_for_have_no_trust(package, volume):
    result = Segmenter(package, Brightness(9.0)).segment(volume, organs=["left kidney"])
    assert list(result.trust) == list(result.trust_signs) == ["left kidney"]


def test_an_organ_that_was_not_found_has_no_trust(package, volume):
    liver_alone = replace(volume, array=np.where(volume.array == 1, 1, 0).astype(np.float32))
    result = Segmenter(package, Brightness(9.0)).segment(liver_alone)
    assert list(result.trust) == ["liver"]
    assert "left kidney was not found" in result.flags


def test_a_box_and_a_model_without_weights_give_no_trust_and_say_so(package, volume):
    segmenter = Segmenter(package, Brightness(1.0))
    box = ChosenBox((100.0, 120.0, 180.0), ((80.0, 0, 0), (0, 80.0, 0), (0, 0, 80.0)))
    inside = segmenter.segment(volume, inside=box)
    assert (inside.trust, inside.provenance["trust"]) == ({}, "none: the organs were segmented in a box")
    plain = replace(package, spec=replace(package.spec, trust=None))
    result = Segmenter(plain, Brightness(1.0)).segment(volume)
    assert (result.trust, result.provenance["trust"]) == ({}, "none: model tiny has no weights for it")
    assert set(result.trust_signs) == {"liver", "left kidney"}  # what weights can be fitted to
    assert not any(flag.kind == TRUST for flag in [*inside.flags, *result.flags])


def test_the_least_trusted_comes_first():
    signs = {"liver": {"expected dice": 2.0}, "spleen": {"expected dice": 0.5}, "pancreas": {"expected dice": -1.0}}
    trust = trust_of(signs, WEIGHTS)
    assert trust == pytest.approx(
        {"liver": 1 / (1 + math.exp(-1.5)), "spleen": 0.5, "pancreas": 1 / (1 + math.exp(1.5))}
    )
    assert [organ for organ, _ in first_to_check(trust)] == ["pancreas", "spleen", "liver"]
    assert trust_flags(trust, WEIGHTS) == [
        "pancreas has trust 0.18: check the outline",
        "spleen has trust 0.50: check the outline",
    ]
