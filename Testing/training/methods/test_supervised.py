"""Supervised training on two images of each patient: both are learnt from, and the answers to them are to be alike."""

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy, ViewDivergence
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.validation import Validation

SHAPE = (4, 4, 4)
CLASSES = 3


class OneScale(torch.nn.Module):
    """A 1x1x1 convolution that answers as a network with one scale."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv3d(1, CLASSES, 1)

    def forward(self, x):
        return (self.conv(x),)


def method(consistency: float) -> Supervised:
    validation = Validation([], ["liver", "spleen"], InferenceSpec(SHAPE))
    setup = Setup(OptimizerConfig(), validation, Fabric(accelerator="cpu"), "last", 10)
    return Supervised(OneScale(), setup, consistency)


def batch() -> dict:
    torch.manual_seed(1)
    labelled = {"strong": torch.randn(2, 1, *SHAPE), "weak": torch.randn(2, 1, *SHAPE)}
    for name in ("labels", "weak labels"):
        labelled[name] = torch.randint(0, CLASSES, (2, *SHAPE)).to(torch.uint8)
    labelled["labels"][:, 0] = labelled["weak labels"][:, 0] = IGNORE
    return {"labelled": labelled}


def divergence_by_torch(first: torch.Tensor, second: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    mean = (first.softmax(1) + second.softmax(1)) / 2
    each = [F.kl_div(logits.log_softmax(1), mean, reduction="none").sum(1)[known].mean() for logits in (first, second)]
    return sum(each) / 2


def test_the_divergence_is_torchs_over_the_voxels_that_count():
    torch.manual_seed(2)
    first, second = torch.randn(2, 2, CLASSES, *SHAPE).mul(3).unbind(0)
    known = torch.rand(2, *SHAPE) < 0.5
    found = ViewDivergence()(first, second, known)
    assert found.item() == pytest.approx(divergence_by_torch(first, second, known).item(), rel=1e-5)
    assert ViewDivergence()(first, first, known).item() == pytest.approx(0, abs=1e-6)
    assert ViewDivergence()(first, second, known & False).item() == 0


def test_answers_that_are_sure_of_different_classes_cost_no_nan():
    far = torch.zeros(1, 2, *SHAPE)
    far[:, 0] = 200.0
    first, second = far.requires_grad_(), far.detach().flip(1).requires_grad_()
    cost = ViewDivergence()(first, second, torch.ones(1, *SHAPE, dtype=torch.bool))
    cost.backward()
    assert cost.isfinite()
    assert all(logits.grad.isfinite().all() for logits in (first, second))


def test_both_images_are_learnt_from_with_their_own_labels():
    data, made = batch()["labelled"], method(2.0)
    found = made.losses({"labelled": data}, 0)
    loss = DeepSupervision(DiceCrossEntropy())
    outputs = made.module(torch.cat([data["strong"], data["weak"]]))
    alone = loss(outputs, torch.cat([data["labels"], data["weak labels"]]))
    known = (data["labels"] == data["weak labels"]) & (data["labels"] != IGNORE)
    apart = divergence_by_torch(*outputs[0].chunk(2), known)
    assert found["supervised"].item() == pytest.approx(alone.item(), rel=1e-5)
    assert found["divergence"].item() == pytest.approx(apart.item(), rel=1e-5)
    assert found["loss"].item() == pytest.approx((alone + 2.0 * apart).item(), rel=1e-5)


def test_labels_that_an_image_lacks_are_those_of_both_views():
    data = batch()["labelled"]
    table = torch.zeros(2, 256, dtype=torch.bool)
    table[0, 2] = True
    full, lacking = (method(1.0).losses({"labelled": {**data, **more}}, 0) for more in ({}, {"unlabelled": table}))
    assert lacking["supervised"] < full["supervised"]
    assert lacking["divergence"].item() == pytest.approx(full["divergence"].item())


def test_without_a_weight_one_image_is_learnt_from():
    data = batch()["labelled"]
    one = {key: data[key] for key in ("strong", "labels")}
    assert list(method(0.0).losses({"labelled": one}, 0)) == ["loss"]
