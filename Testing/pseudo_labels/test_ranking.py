"""Selection of pseudo labels against hand-worked values (methods.md 12)."""

import numpy as np
import pytest

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.pseudo_labels.ranking import case_scores, consistency, instability, keep_best, union


def test_consistency_of_three_toy_masks():
    masks = [np.array(m) for m in ([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0])]
    assert consistency(masks, 1)[1] == pytest.approx(0.65556, abs=1e-5)


def test_classes_that_nobody_predicts_do_not_count():
    masks = [np.array(m) for m in ([1, 0, 0], [1, 0, 0], [1, 3, 0])]
    found = consistency(masks, 3)
    assert set(found) == {1, 3}
    assert found == {1: 1.0, 3: 0.0}


def test_instability_of_three_iterations():
    iterations = [np.array(y) for y in ([0, 1, 1, 2], [0, 1, 2, 2], [0, 1, 2, 0])]
    assert instability(iterations) == pytest.approx(0.416667, abs=1e-6)
    assert instability([iterations[0]] * 3) == 0
    assert instability([iterations[0], np.zeros(4)]) == np.inf


def test_voxels_that_either_leaves_open_do_not_count():
    before, after = np.array([1, IGNORE, 0, 2, 1]), np.array([1, 1, IGNORE, 0, 1])
    assert instability([before, after]) == 0.5
    assert union([before, after]).tolist() == [1, 1, IGNORE, 2, 1]


def test_one_prediction_is_too_few():
    for function in (lambda p: consistency(p, 1), instability):
        with pytest.raises(UsageError, match="at least two"):
            function([np.zeros(3)])


def test_union_keeps_the_latest_claim():
    assert union([np.array([0, 1, 1, 0]), np.array([0, 0, 2, 2])]).tolist() == [0, 1, 2, 2]


def test_ranking_keeps_the_best_and_never_what_is_not_finite():
    ranked = keep_best({"a": 0.5, "b": 0.9, "c": float("nan"), "d": 0.7}, 3, highest=True)
    assert [(case.name, case.is_kept) for case in ranked] == [("b", True), ("d", True), ("a", True), ("c", False)]
    ranked = keep_best({"a": 0.5, "b": 0.9, "c": float("inf")}, 2, highest=False)
    assert [(case.name, case.is_kept) for case in ranked] == [("a", True), ("b", True), ("c", False)]
    assert [case.is_kept for case in keep_best({"a": 1.0, "b": 2.0}, 1, highest=False)] == [True, False]


def test_missing_a_usual_organ_does_not_rank_above_finding_it_poorly():
    found = {"poorly": {1: 0.9, 2: 0.3}, "missed": {1: 0.9}, "well": {1: 0.9, 2: 0.8}, "nothing": {}}
    assert case_scores(found) == pytest.approx(
        {"poorly": 0.6, "missed": 0.45, "well": 0.85, "nothing": np.nan}, nan_ok=True
    )
    few = {"a": {1: 0.9}, "b": {1: 0.8}, "c": {1: 0.7, 2: 0.5}}
    assert case_scores(few) == pytest.approx({"a": 0.9, "b": 0.8, "c": 0.6})
