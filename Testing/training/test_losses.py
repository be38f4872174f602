"""Losses against values worked out by hand."""

import math

import pytest
import torch

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.training.ema import AveragedModel
from LiverMRISegLib.training.losses import (
    CrossEntropy,
    DeepSupervision,
    DiceCrossEntropy,
    SquaredDiceCrossEntropy,
    deep_supervision_weights,
)


def test_deep_supervision_weights_are_nnunets():
    assert deep_supervision_weights(5) == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15, 0])
    assert deep_supervision_weights(1) == [1.0]


def test_uniform_logits_give_the_known_loss():
    logits = torch.zeros(1, 2, 2, 2, 2)
    labels = torch.tensor([0, 1] * 4).view(1, 2, 2, 2)
    dice = 1 - 2 * (4 * 0.5) / (8 * 0.5 + 4)
    assert DiceCrossEntropy()(logits, labels).item() == pytest.approx(math.log(2) + dice, abs=1e-4)


def test_uniform_logits_give_the_known_loss_of_ssl4mis():
    logits = torch.zeros(1, 2, 2, 2, 2)
    labels = torch.tensor([0, 1] * 4).view(1, 2, 2, 2)
    dice = 1 - 2 * (4 * 0.5) / (8 * 0.25 + 4)
    assert SquaredDiceCrossEntropy()(logits, labels).item() == pytest.approx(0.5 * (math.log(2) + dice), abs=1e-4)


def test_unknown_voxels_change_nothing():
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 4, 4, 4)
    labels = torch.randint(0, 3, (1, 4, 4, 4))
    labels[:, 0] = IGNORE
    changed = logits.clone()
    changed[:, :, 0] = torch.randn(1, 3, 4, 4) * 50
    loss = DiceCrossEntropy()
    assert loss(changed, labels).item() == pytest.approx(loss(logits, labels).item(), abs=1e-6)


def test_a_patch_of_which_nothing_is_known_costs_no_nan():
    logits = torch.randn(1, 3, 4, 4, 4, requires_grad=True)
    labels = torch.full((1, 4, 4, 4), IGNORE)
    for loss in (DiceCrossEntropy(), CrossEntropy()):
        logits.grad = None
        value = loss(logits, labels)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(logits.grad).all()


def test_a_perfect_prediction_costs_nothing_at_any_scale():
    labels = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    labels[:, 4:, :, 3:] = 1
    outputs = []
    for z, y, x in ((1, 1, 1), (2, 1, 2), (4, 1, 4)):
        small = labels[:, ::z, ::y, ::x]
        outputs.append(torch.nn.functional.one_hot(small, 2).movedim(-1, 1).float() * 100 - 50)
    assert DeepSupervision(DiceCrossEntropy())(outputs, labels).item() == pytest.approx(0, abs=1e-4)


def test_averaged_copy_follows_by_its_decay():
    source = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(source.weight, 0.0)
    average = AveragedModel(source, decay=0.9)
    torch.nn.init.constant_(source.weight, 1.0)
    average.update(source, step=10_000)
    assert average.model.weight.item() == pytest.approx(0.1)
    average.update(source, step=1)
    assert average.model.weight.item() == pytest.approx(0.1 + 0.9 * 0.9)
