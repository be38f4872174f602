"""Cross pseudo supervision by hand-worked values; no gradient through pseudo labels; equal networks are refused."""

import math

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training.losses import CrossEntropy, DeepSupervision, DiceCrossEntropy, FinestOnly
from LiverMRISegLib.training.methods.cross_pseudo_supervision import (
    PRESETS,
    CrossPseudoConfig,
    CrossPseudoSupervision,
    cross_pseudo_loss,
)
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.schedules import polynomial, sigmoid_ramp
from LiverMRISegLib.training.validation import Validation


class OneScale(torch.nn.Module):
    """A 1x1x1 convolution that answers as a network with one scale."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = torch.nn.Conv3d(1, 2, 1)

    def forward(self, x):
        return (self.conv(x),)


def method(preset: str, weight: float = 0.0, seeds=(0, 1), steps: int = 10, **more) -> CrossPseudoSupervision:
    validation = Validation([], ["liver"], InferenceSpec((4, 4, 4)))
    first, second = (OneScale(s) for s in seeds)
    setup = Setup(OptimizerConfig(), validation, Fabric(accelerator="cpu"), "first", steps)
    return CrossPseudoSupervision(first, second, CrossPseudoConfig(preset, weight, **more), setup)


def batch(seed: int = 0):
    torch.manual_seed(seed)
    return {
        "labelled": {"strong": torch.randn(2, 1, 4, 4, 4), "labels": torch.randint(0, 2, (2, 4, 4, 4))},
        "unlabelled": {"strong": torch.randn(2, 1, 4, 4, 4)},
    }


def test_the_loss_of_two_voxels_by_hand():
    first = torch.tensor([[2.0, 0.0], [0.0, 1.0]]).T.reshape(1, 2, 2)
    second = torch.tensor([[0.0, 3.0], [0.0, 4.0]]).T.reshape(1, 2, 2)
    by_second = (math.log(1 + math.exp(2)) + math.log(1 + math.exp(-1))) / 2  # both voxels are called 1
    by_first = (math.log(1 + math.exp(3)) + math.log(1 + math.exp(-4))) / 2  # called 0 and 1
    found = cross_pseudo_loss([first], [second], FinestOnly(CrossEntropy()))
    assert found.item() == pytest.approx(by_second + by_first, rel=1e-5)


def test_no_gradient_flows_through_the_pseudo_labels():
    """Small changes of one network leave the other's gradient as it is."""
    torch.manual_seed(0)
    first, second = torch.randn(1, 3, 4, 4, 4, requires_grad=True), torch.randn(1, 3, 4, 4, 4)
    gradients = []
    for shift in (0.0, 1e-3):
        moved = (second + shift * torch.randn_like(second).sign() * 0.1).requires_grad_()
        assert torch.equal(moved.argmax(1), second.argmax(1))
        first.grad = None
        cross_pseudo_loss([first], [moved], FinestOnly(CrossEntropy())).backward()
        gradients.append(first.grad.clone())
    assert torch.allclose(*gradients, atol=1e-8)


@pytest.mark.parametrize(
    ("preset", "weight", "ramped", "parts"),
    [
        ("paper", 1.5, False, [slice(2), slice(2, None)]),  # paper 001, eq. 6: the two means are added
        ("original", 1.5, False, [slice(None)]),
        ("ssl4mis", 0.1, True, [slice(2, None)]),
        ("dice", 1, True, [slice(None)]),
    ],
)
def test_presets_weigh_as_their_publications(preset, weight, ramped, parts):
    made, data = method(preset), batch()
    for step in (0, 5, 9):
        terms = made.losses(data, step)
        share = sigmoid_ramp(step, 10) if ramped else 1.0
        assert terms["loss"].item() == pytest.approx(
            (terms["supervised"] + weight * share * terms["cross"]).item(), rel=1e-5
        )
    first, second = made.module(torch.cat([data["labelled"]["strong"], data["unlabelled"]["strong"]]))
    both = DeepSupervision(DiceCrossEntropy())
    expected = sum(
        both([one[0][part]], other[0][part].argmax(1)).item()
        if preset == "dice"  # ours: Dice too, by which dark organs are not given up
        else F.cross_entropy(one[0][part], other[0][part].argmax(1)).item()
        for part in parts
        for one, other in ((first, second), (second, first))
    )
    assert terms["cross"].item() == pytest.approx(expected, rel=1e-5)
    assert PRESETS[preset].weight == weight


def test_a_ramp_may_be_added_to_any_preset_and_taken_away():
    """A trained start gives one network new heads; a constant weight would teach the other their first labels."""
    for preset, ramp in (("paper", "sigmoid"), ("dice", "none")):
        made = method(preset, ramp=ramp)
        for step in (0, 9):
            terms = made.losses(batch(), step)
            share = sigmoid_ramp(step, 10) if ramp == "sigmoid" else 1.0
            expected = terms["supervised"] + PRESETS[preset].weight * share * terms["cross"]
            assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_weight_replaces_the_presets():
    terms = method("paper", 0.25).losses(batch(), 0)
    assert terms["loss"].item() == pytest.approx((terms["supervised"] + 0.25 * terms["cross"]).item(), rel=1e-5)


def test_equal_networks_are_refused():
    with pytest.raises(UsageError, match="different starts"):
        method("paper", seeds=(3, 3))


def test_unknown_preset_is_named():
    with pytest.raises(UsageError, match="paper, original, ssl4mis"):
        CrossPseudoConfig("papers")


@pytest.mark.parametrize(("step", "weight"), [(0, 0.00067), (6_000, 0.0041), (15_000, 0.0287), (30_000, 0.1)])
def test_the_ramp_is_that_of_ssl4mis(step, weight):
    assert 0.1 * sigmoid_ramp(step, 30_000) == pytest.approx(weight, rel=0.02)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.01), (500, 0.0053589), (1000, 0.0)])
def test_the_schedule_is_nnunets(epoch, rate):
    assert 0.01 * polynomial(epoch, 1000) == pytest.approx(rate, rel=1e-4)
