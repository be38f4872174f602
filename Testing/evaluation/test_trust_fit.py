"""Weights of the trust score: fitted to outlines whose Dice is known, and judged on others."""

import numpy as np
import pytest

from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS, IGNORE, LIVER, SPLEEN, LabelSet
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.evaluation.corruption import corrupted
from LiverMRISegLib.evaluation.trust_fit import Sample, as_csv, cross_validated, figures, fit, from_csv, samples_of
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.inference.trust import trust_of
from LiverMRISegLib.models.package.specification import TRUST_SIGNS, TrustSpec
from LiverMRISegLib.volume import Geometry, Volume


def drawn(count, seed=0):
    """Outlines whose Dice follows from two signs; the others are noise."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        signs = {name: float(random.normal()) for name in TRUST_SIGNS}
        total = 1.5 + 1.0 * signs["expected dice"] + 0.8 * signs["size"]
        made.append(Sample("drawn", f"case {number}", "clean", "liver", float(1 / (1 + np.exp(-total))), signs))
    return made


def test_the_weights_that_made_the_dice_are_found():
    spec = fit(drawn(400), TRUST_SIGNS, "drawn numbers")
    assert spec.intercept == pytest.approx(1.5, abs=0.15)
    assert spec.weights["expected dice"] == pytest.approx(1.0, abs=0.12)
    assert spec.weights["size"] == pytest.approx(0.8, abs=0.12)
    assert spec.weights.get("probability", 0) < 0.1
    found = figures(drawn(200, seed=1), spec)
    assert found.rank_correlation > 0.98
    assert found.sensitivity > 0.9
    assert found.flagged > 0.9
    assert found.false_alarms == pytest.approx(0.1, abs=0.07)
    assert found.error < 0.03
    others = cross_validated(drawn(200), ["expected dice", "size"])
    assert (others.outlines, others.poor) == (200, figures(drawn(200), spec).poor)
    assert others.rank_correlation > 0.98


def test_which_organ_is_named_first():
    """The least trusted organ of an image against its lowest Dice, and against one taken by chance."""
    spec = TrustSpec(0.0, {"size": 1.0}, 0.5, "")
    told = {"a": ((0.9, 3.0), (0.5, 2.0), (0.7, 1.0)), "b": ((0.6, 0.0), (0.8, 1.0)), "c": ((0.9, 1.0),)}
    samples = [Sample("", case, "", "", dice, {"size": size}) for case, own in told.items() for dice, size in own]
    found = figures(samples, spec)
    assert found.first_loss == pytest.approx((0.2 + 0.0) / 2)
    assert found.chance_loss == pytest.approx((0.2 + 0.1) / 2)
    assert figures(samples[-1:], spec).first_loss != figures(samples[-1:], spec).first_loss  # there is none


def test_no_weight_has_the_wrong_sign():
    turned = [Sample(s.data_set, s.case, s.change, s.organ, 1 - s.dice, s.signs) for s in drawn(200)]
    assert "expected dice" not in fit(turned, TRUST_SIGNS, "").weights


def test_too_few_outlines_are_refused():
    with pytest.raises(InputError, match=r"5 outlines, .* are too few: make more images"):
        fit(drawn(5), TRUST_SIGNS, "")


def test_a_table_of_samples_comes_back(tmp_path):
    missed = Sample("T2", "a", "noise 0.2", "spleen", 0.0, {})
    samples = from_csv(as_csv([*drawn(2), missed]), "samples.csv")
    assert samples[2] == missed
    assert samples[0].signs == pytest.approx(drawn(2)[0].signs, abs=1e-4)
    assert figures(samples, fit(drawn(50), ["size"], "")).outlines == 2
    with pytest.raises(InputError, match=r"samples\.csv: is not a table of trust samples"):
        from_csv("a,b\n1,2\n", "samples.csv")


def test_samples_are_organs_that_the_truth_shows():
    geometry = Geometry((10, 10, 10), (10.0,) * 3)
    labelmap, truth = np.zeros((2, 10, 10, 10), np.uint8)
    labelmap[2:6, 2:6, 2:6], truth[2:6, 2:6, 2:5] = 1, 6
    truth[0, 0, 0] = 9  # 1 mL of another organ: too little to judge
    truth[2:6, 2:6, 5] = IGNORE
    labels, referred = LabelSet("own", {1: LIVER, 2: SPLEEN}), LabelSet("other", {6: LIVER, 9: SPLEEN})
    signs = {"liver": dict.fromkeys(TRUST_SIGNS, 1.0)}
    result = Segmentation(labelmap, labels, geometry, {}, [], {}, trust_signs=signs)
    (only,) = samples_of(("set", "case", "clean"), result, truth, referred)
    assert (only.organ, only.dice, only.signs) == ("liver", 1.0, signs["liver"])
    truth[8, 2:8, 2:8] = 9
    assert [(s.organ, s.dice, s.signs) for s in samples_of(("set", "case", ""), result, truth, referred)][1] == (
        "spleen", 0.0, {},
    )  # fmt: skip


def test_several_corruptions_of_different_kinds():
    image = make_volume(size=(24, 20, 16), spacing=(4.0, 4.0, 6.0))
    labels = np.zeros(image.geometry.shape, np.uint8)
    labels[4:12, 5:15, 5:18] = CHAOS.value_of(LIVER)
    reference = Volume(labels, image.geometry)
    (changed, truth), words = corrupted(image, reference, 3, np.random.default_rng(0))
    (again, _), same = corrupted(image, reference, 3, np.random.default_rng(0))
    assert words == same
    assert np.array_equal(changed.array, again.array)
    assert len({part.split(" ")[0] for part in words.split(", ")}) >= 2
    assert changed.geometry.is_close(truth.geometry)
    assert corrupted(image, reference, 0, np.random.default_rng(0)) == ((image, reference), "clean")


def test_scores_beyond_all_bounds_stay_numbers():
    spec = fit(drawn(100), ["expected dice"], "")
    assert 0 <= trust_of({"liver": {"expected dice": -1e9}}, spec)["liver"] <= 1
