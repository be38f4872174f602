"""SemiSAM-O1's parts by values known by hand."""

import math

import numpy as np
import pytest
import torch

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.one_label.prototypes import MISSING, calibrate, class_prototypes, nearest_on, similarity
from LiverMRISegLib.one_label.refine import (
    changed_share,
    nearest_certain,
    replaced_where_unsure,
    uncertain_cases,
    vote,
)
from LiverMRISegLib.training.methods.mean_teacher import certain_mean, entropy
from LiverMRISegLib.training.methods.pseudo_term import PseudoTerm, PseudoTermConfig, pseudo_ramp
from LiverMRISegLib.training.schedules import sigmoid_ramp


def test_two_orthogonal_class_vectors_give_the_truth_back():
    labels = np.random.default_rng(0).integers(0, 2, (3, 4, 5))
    features = np.stack([labels == 0, labels == 1]).astype(np.float32) * 7
    scores = similarity(features, class_prototypes(features, labels, 1))
    assert np.array_equal(scores.argmax(0), labels)
    assert scores.max() == pytest.approx(1)
    fine = nearest_on(scores.argmax(0), (6, 8, 10))
    assert np.array_equal(fine, labels.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_a_class_that_the_template_lacks_never_wins():
    features = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32) - 5
    labels = np.zeros((3, 3, 3), int)
    labels[0] = 2
    scores = similarity(features, class_prototypes(features, labels, 2))
    assert (scores[1] == MISSING).all()
    assert set(np.unique(similarity(-features, class_prototypes(features, labels, 2)).argmax(0))) <= {0, 2}


def test_the_vote_of_twelve_cases():
    """The reference values of methods.md 12b."""
    whole = np.array([(math.cos(0.3 * i), math.sin(0.3 * i)) for i in range(12)])
    labels = [((np.arange(27) + i) % 3 == 0).astype(np.uint8).reshape(3, 3, 3) for i in range(12)]
    uncertainty = np.array([(7 * i % 11) / 10 for i in range(12)])
    uncertain, threshold = uncertain_cases(uncertainty, 1, 0.9)
    assert threshold == pytest.approx(0.9)
    assert np.flatnonzero(uncertain).tolist() == [3, 6]
    for case in (3, 6):
        near, weights = nearest_certain(whole, case, uncertain, 5)
        assert len(near) == 5
        assert not vote([labels[n] for n in near], weights, (3, 3, 3), 1).any()


def test_equal_neighbours_give_their_label():
    label = np.random.default_rng(0).integers(0, 3, (4, 4, 4)).astype(np.uint8)
    assert np.array_equal(vote([label] * 3, np.array([0.2, 0.5, 1.0]), (4, 4, 4), 2), label)
    assert np.array_equal(vote([label], np.ones(1), (8, 4, 4), 2), label.repeat(2, 0))


def test_only_unsure_voxels_take_the_vote():
    own, voted = np.zeros((1, 1, 10), np.uint8), np.ones((1, 1, 10), np.uint8)
    found = replaced_where_unsure(own, voted, np.arange(10.0).reshape(1, 1, 10), 0.7)
    assert found.ravel().tolist() == [0] * 7 + [1] * 3


def test_ramps():
    assert [pseudo_ramp(step, 1000) for step in (0, 150, 300, 1000)] == [0, 0.5, 1, 1]
    assert pseudo_ramp(0, 10, 0.0) == 1
    assert 0.1 * sigmoid_ramp(15_000, 30_000) == pytest.approx(0.0287, abs=1e-4)  # all that 15,000 steps reach


def test_uncertainty_is_entropy_and_leaves_unsure_voxels_out():
    assert entropy(torch.full((1, 2, 3), 0.5)) == pytest.approx(np.full((1, 3), math.log(2)))
    squares = torch.tensor([[[1.0, 4.0], [3.0, 8.0]]])
    assert certain_mean(squares, torch.tensor([[0.0, math.log(2)]]), 0.75) == pytest.approx(2.0)
    assert certain_mean(squares, torch.ones(1, 2), 0.75) == 0


def test_pseudo_labels_count_where_they_come():
    logits = [torch.zeros(1, 2, 4, 4, 4)]
    loss = torch.nn.MSELoss()
    term = PseudoTerm(
        PseudoTermConfig(), 100, lambda outputs, labels: outputs[0].new_tensor(3.0) + 0 * loss(labels, labels)
    )
    assert term(logits, {}, 50) == 0
    batch = {"labels": torch.zeros(1, 4, 4, 4)}
    assert [float(term(logits, batch, step)) for step in (0, 15, 100)] == [0.0, 0.75, 1.5]


def test_the_templates_organs_get_their_best_dice():
    labels = np.zeros((1, 1, 10), int)
    labels[..., 6:] = 1
    organ = np.arange(10.0).reshape(1, 1, 10) / 10 + 1  # above the background everywhere: all would be organ
    scores = np.stack([np.full_like(organ, 0.5), organ, np.full_like(organ, MISSING)])
    found = calibrate(scores, labels, 0.0)
    shifted = scores + found.offsets[:, None, None, None]
    assert np.array_equal((shifted[1] >= shifted[0] - 1e-6).astype(int), labels)
    assert found.offsets[2] == 0
    assert not found.above.any()
    assert not found.below.any()


@pytest.mark.parametrize(
    ("labels", "certain", "absent"), [([0, 0, 0, 0, 1, 0, 1, 1, 1, 1], 6, 4), ([0, 1, 0, 0, 0, 0, 1, 1, 1, 1], 6, 1)]
)
def test_what_is_not_certain_on_the_template_is_left_open(labels, certain, absent):
    """Of scores from 0 to 9, all from `certain` on are the organ, and below `absent` none is."""
    labels = np.array(labels).reshape(1, 1, 10)
    scores = np.stack([np.zeros((1, 1, 10)), np.arange(10.0).reshape(1, 1, 10)])
    found = calibrate(scores, labels, 1.0)
    above, below = (9 + found.offsets[1] - edge[1] for edge in (found.above, found.below))
    assert (9 - above, 9 - below) == (certain, absent)


def test_changes_are_counted_where_either_sees_an_organ():
    before, now = np.array([0, 1, 1, IGNORE, IGNORE]), np.array([0, 1, 2, 1, 0])
    assert changed_share(now, before) == pytest.approx(2 / 3)
    assert changed_share(np.zeros(3), np.zeros(3)) == 0


def test_the_template_says_nothing_where_it_is_open():
    labels = np.array([0, 0, 1, 1, IGNORE, IGNORE]).reshape(1, 1, 6)
    organ = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 1, 6)
    open_ends, known = (
        calibrate(np.stack([0 * s, s]), t, 0.95) for s, t in ((organ, labels), (organ[..., :4], labels[..., :4]))
    )
    assert all(np.array_equal(a, b) for a, b in zip(vars(open_ends).values(), vars(known).values(), strict=True))
