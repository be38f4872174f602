"""The mean teacher: its loss by its terms, a teacher that follows and is not trained, noise that is bounded."""

import pytest
import torch
from lightning_fabric import Fabric

from helpers.packages import TINY_KWARGS
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy
from LiverMRISegLib.training.methods.dropout import add_dropout
from LiverMRISegLib.training.methods.mean_teacher import MeanTeacher, MeanTeacherConfig
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.schedules import sigmoid_ramp
from LiverMRISegLib.training.validation import Validation

STEPS = 10


class OneScale(torch.nn.Module):
    """A 1x1x1 convolution that answers as a network with one scale, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.seen = torch.nn.Conv3d(1, 2, 1), []

    def forward(self, x):
        self.seen.append(x)
        return (self.conv(x),)


def method(**settings) -> MeanTeacher:
    validation = Validation([], ["liver"], InferenceSpec((4, 4, 4)))
    setup = Setup(OptimizerConfig(), validation, Fabric(accelerator="cpu"), "student", STEPS)
    return MeanTeacher(OneScale(), MeanTeacherConfig(ramp_steps=STEPS, **settings), setup)


def batch():
    torch.manual_seed(1)
    return {
        "labelled": {"strong": torch.randn(2, 1, 4, 4, 4), "labels": torch.randint(0, 2, (2, 4, 4, 4))},
        "unlabelled": {"strong": torch.randn(2, 1, 4, 4, 4)},
        "seed": 3,
    }


@pytest.mark.parametrize("step", [0, 5, 9])
def test_the_loss_is_half_the_labels_and_the_ramped_consistency(step):
    data, made = batch(), method(weight=0.1)
    terms = made.losses(data, step)
    alone = DeepSupervision(DiceCrossEntropy())(made.module(data["labelled"]["strong"]), data["labelled"]["labels"])
    assert terms["supervised"].item() == pytest.approx(0.5 * alone.item(), rel=1e-5)
    whole = terms["supervised"] + 0.1 * sigmoid_ramp(step, STEPS) * terms["consistency"]
    assert terms["loss"].item() == pytest.approx(whole.item(), rel=1e-6)
    assert terms["consistency"] > 0


def test_consistency_is_the_distance_to_the_teacher_on_unlabelled_patches():
    data, made = batch(), method(noise=0.0)
    assert made.losses(data, 5)["consistency"].item() == pytest.approx(0.0, abs=1e-12)
    torch.nn.init.constant_(made.teacher.model.conv.bias, 2.0)
    images = data["unlabelled"]["strong"]
    said, heard = (network(images)[0].softmax(1) for network in (made.module, made.teacher.model))
    found = made.losses(data, 5)["consistency"].item()
    assert found == pytest.approx(((said - heard) ** 2).mean().item(), rel=1e-5)


def test_the_teacher_learns_nothing_by_itself_and_follows_the_student():
    data, made = batch(), method()
    made.losses(data, 5)["loss"].backward()
    assert all(p.grad is None for p in made.teacher.model.parameters())
    assert all(p.grad is not None for p in made.module.parameters())
    before = made.teacher.model.conv.bias.clone()
    with torch.no_grad():
        made.module.conv.bias += 1.0
    made.teacher.update(made.module, 1)
    assert torch.allclose(made.teacher.model.conv.bias, before + 0.5)  # step 1 of a warm-up of 1


def test_noise_is_of_the_asked_size_bounded_and_drawn_from_the_seed():
    data = batch()
    asked = []
    for noise in (0.01, 100.0, 100.0):
        made = method(noise=noise)
        made.losses(data, 5)
        asked.append(made.teacher.model.seen[-1] - data["unlabelled"]["strong"])
    assert asked[0].std().item() == pytest.approx(0.01, rel=0.3)
    assert asked[1].abs().max().item() == pytest.approx(0.2, abs=1e-5)
    assert torch.equal(asked[1], asked[2])


def test_pseudo_labels_of_unlabelled_patches_count():
    data, made = batch(), method()
    data["unlabelled"]["labels"] = torch.zeros(2, 4, 4, 4, dtype=torch.long)
    terms = made.losses(data, 9)
    rest = terms["supervised"] + 0.1 * sigmoid_ramp(9, STEPS) * terms["consistency"]
    assert terms["pseudo"] > 0
    assert terms["loss"].item() == pytest.approx((rest + terms["pseudo"]).item(), rel=1e-5)


def tiny(dropout: float) -> MeanTeacher:
    torch.manual_seed(0)
    network = build_network("stunet", deep_supervision=True, **TINY_KWARGS)
    validation = Validation([], ["liver"], InferenceSpec((16, 16, 16)))
    setup = Setup(OptimizerConfig(), validation, Fabric(accelerator="cpu"), "student", STEPS)
    return MeanTeacher(network, MeanTeacherConfig(passes=2, noise=0.0, dropout=dropout), setup)


def test_the_passes_of_the_uncertain_teacher_differ_by_dropout():
    """Yu et al. 2019, section 2.2: Monte Carlo dropout; without it and without noise all passes are one."""
    images = torch.randn(1, 1, 16, 16, 16)
    for dropout in (0.0, 0.3):
        made = tiny(dropout)
        made.teacher.model.eval()  # as validation leaves it
        first, second = (made._noisy_teacher(images, torch.Generator()) for _ in range(2))
        assert torch.equal(first, second) == (dropout == 0.0)
        drawn = [made.model(images)[0] for _ in range(2)]
        assert torch.equal(*drawn) == (dropout == 0.0)


def test_what_is_exported_has_no_dropout():
    made, plain = tiny(0.3), tiny(0.0)
    images = torch.randn(1, 1, 16, 16, 16)
    assert made.module.state_dict().keys() == plain.module.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(made.module.eval()(images)[0], plain.module.eval()(images)[0])


@pytest.mark.parametrize("kind", ["plain-unet", "residual-encoder-unet"])
def test_dropout_in_networks_of_nnunet(kind):
    sizes = {"features": [4, 8], "strides": [[1, 1, 1], [2, 2, 2]], "blocks": [1, 1]}
    network = build_network(kind, deep_supervision=False, in_channels=1, out_channels=2, **sizes)
    add_dropout(network, 0.5)
    images = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        assert torch.equal(network.eval()(images), network(images))


def test_a_network_without_stages_is_told_what_to_do():
    with pytest.raises(UsageError, match=r"set teacher\.dropout to 0"):
        add_dropout(OneScale(), 0.3)
