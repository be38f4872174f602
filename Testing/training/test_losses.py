"""Losses against values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

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


def by_monai(logits: torch.Tensor, labels: torch.Tensor, unlabelled: torch.Tensor) -> torch.Tensor:
    """The loss by MONAI's Dice and torch's cross entropy, with shares of unlabelled classes added to background's."""
    shares = logits.softmax(1)
    hidden = unlabelled[:, : logits.shape[1]].reshape(len(logits), -1, 1, 1, 1)
    background = shares[:, :1] + (shares * hidden).sum(1, keepdim=True)
    shares = torch.cat([background, shares[:, 1:] * ~hidden[:, 1:]], 1)
    known = labels != IGNORE
    truth = F.one_hot(torch.where(known, labels, 0), logits.shape[1]).movedim(-1, 1) * known[:, None]
    dice = DiceLoss(include_background=False, smooth_nr=1e-5, smooth_dr=1e-5)(shares * known[:, None], truth.float())
    return dice + F.nll_loss(shares.clamp(min=1e-30).log(), labels, ignore_index=IGNORE)


@pytest.mark.parametrize("hidden", [[], [(0, 3)], [(0, 3), (1, 2), (1, 4)]])
@pytest.mark.parametrize("unknown", [False, True])
def test_loss_and_gradient_are_monais(hidden, unknown):
    torch.manual_seed(0)
    logits = 2 * torch.randn(2, 5, 4, 5, 6)
    labels = torch.randint(0, 5, (2, 4, 5, 6))
    unlabelled = torch.zeros(2, 256, dtype=torch.bool)
    for sample, value in hidden:
        unlabelled[sample, value] = True
        labels[sample][labels[sample] == value] = 0
    if unknown:
        labels[:, 0] = IGNORE
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, expected = DiceCrossEntropy()(ours, labels, unlabelled), by_monai(theirs, labels, unlabelled)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    (3 * loss).backward()
    (3 * expected).backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def test_the_loss_takes_logits_of_half_precision_in_any_layout():
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 3, 4, 4, 4).bfloat16(), torch.randint(0, 3, (1, 4, 4, 4)).to(torch.uint8)
    plain = logits.clone().requires_grad_()
    last = logits.to(memory_format=torch.channels_last_3d).requires_grad_()
    for given in (plain, last):
        DiceCrossEntropy()(given, labels).backward()
    assert plain.grad.dtype == torch.bfloat16
    assert torch.equal(plain.grad, last.grad)


def test_whether_background_is_taken_for_that_class_costs_nothing():
    labels = torch.zeros(1, 4, 4, 4, dtype=torch.long)
    labels[:, 2:] = 1
    unlabelled = torch.zeros(1, 256, dtype=torch.bool)
    unlabelled[0, 2] = True
    right, other = (torch.full((1, 3, 4, 4, 4), -20.0, requires_grad=True) for _ in range(2))
    with torch.no_grad():
        for logits, background in ((right, 0), (other, 2)):
            logits[:, background, :2], logits[:, 1, 2:] = 20.0, 20.0
    loss = DeepSupervision(DiceCrossEntropy())
    found = [loss([logits], labels, unlabelled) for logits in (right, other)]
    assert [value.item() for value in found] == pytest.approx([0.0, 0.0], abs=1e-4)
    assert loss([other], labels).item() > 5
    found[1].backward()
    assert other.grad.isfinite().all()


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
