"""Dual-task consistency: distances by hand, its loss by its terms, a second head that is trained but not exported."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from helpers.packages import TINY_KWARGS
from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy
from LiverMRISegLib.training.methods.dual_task import (
    DualTask,
    DualTaskConfig,
    distance_loss,
    mask_loss,
    signed_distances,
)
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.schedules import sigmoid_ramp
from LiverMRISegLib.training.stages.dual_task import DualTaskStageConfig
from LiverMRISegLib.training.validation import Validation

STEPS = 10
CLASSES = TINY_KWARGS["out_channels"]


def method(**settings) -> DualTask:
    torch.manual_seed(0)
    network = build_network("stunet", deep_supervision=True, **TINY_KWARGS)
    validation = Validation([], ["liver"], InferenceSpec((16, 16, 16)))
    setup = Setup(OptimizerConfig(), validation, Fabric(accelerator="cpu"), "network", STEPS)
    return DualTask(network, DualTaskConfig(ramp_steps=STEPS, **settings), setup)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    labels = torch.zeros(1, 16, 16, 16, dtype=torch.long)
    labels[:, 4:12, 4:12, 4:12] = 1
    return {
        "labelled": {"strong": torch.randn(1, 1, 16, 16, 16), "labels": labels},
        "unlabelled": {"strong": torch.randn(1, 1, 16, 16, 16)},
        "seed": 3,
    }


def test_distances_of_a_row():
    """The authors' map: both sides scaled to 1, the outermost voxels of the organ are its border, which is 0."""
    row = np.array([0, 0, 0, 1, 1, 1, 1, 1, 0])[None, None, None]
    found = signed_distances(row, 1)
    assert found.shape == (1, 1, 1, 1, 9)
    assert found.ravel() == pytest.approx([1, 2 / 3, 1 / 3, 0, -2 / 3, -1, -2 / 3, 0, 1 / 3])
    assert (signed_distances(np.zeros((1, 2, 2, 2)), 2) == 1).all()
    assert (signed_distances(np.ones((1, 2, 2, 2)), 1) == -1).all()


def test_losses_of_right_answers_are_0_and_unknown_voxels_do_not_count():
    labels = torch.zeros(2, 6, 6, 6, dtype=torch.long)
    labels[:, 1:5, 1:5, 1:5] = 1
    right = torch.from_numpy(signed_distances(labels.numpy(), 1))
    masks = (labels == 1)[:, None].float()
    assert distance_loss(right, labels).item() == pytest.approx(0)
    assert mask_loss(masks, labels).item() == pytest.approx(0, abs=1e-6)
    assert mask_loss(1 - masks, labels).item() == pytest.approx(1, abs=1e-4)
    unknown = labels.clone()
    unknown[:, 0] = IGNORE
    masks[:, :, 0] = 1
    assert mask_loss(masks, unknown).item() == pytest.approx(0, abs=1e-6)
    right[:, :, 0] += 5
    assert distance_loss(right, unknown).item() == pytest.approx(0)


@pytest.mark.parametrize(
    "weights", [{}, {"supervised": 0.5, "distance": 0.0, "mask": 1.0, "weight": 0.1}], ids=["DTC", "SemiSAM-O1"]
)
def test_the_loss_is_the_sum_of_its_terms(batch, weights):
    made = method(**weights)
    terms = made.losses(batch, 5)
    settings = made.settings
    whole = (
        settings.supervised * DeepSupervision(DiceCrossEntropy())(
            made.branches["network"](batch["labelled"]["strong"]), batch["labelled"]["labels"]
        )
        + settings.distance * terms["distance"]
        + settings.mask * terms["mask"]
        + settings.weight * sigmoid_ramp(5, STEPS) * terms["consistency"]
    )  # fmt: skip
    assert terms["loss"].item() == pytest.approx(whole.item(), rel=1e-4)
    assert 0 < terms["consistency"] < 1
    assert (terms["distance"] > 0) == (settings.distance > 0)
    assert (terms["mask"] > 0) == (settings.mask > 0)
    batch["unlabelled"]["labels"] = batch["labelled"]["labels"]
    assert made.losses(batch, 5)["pseudo"] > 0


def test_both_heads_learn_and_go_on_but_one_is_exported(batch):
    made, other = method(), method()
    made.losses(batch, 5)["loss"].backward()
    for learnt in (made.module.head, made.module.network.seg_outputs[-1], made.module.network.conv_blocks_context[0]):
        assert all(p.grad is not None for p in learnt.parameters())
    torch.nn.init.constant_(made.module.head.bias, 0.25)
    state = made.state_dict()
    assert set(state["networks"]["network"]) == set(
        build_network("stunet", deep_supervision=True, **TINY_KWARGS).state_dict()
    )
    other.load_state_dict(state)
    assert torch.equal(other.module.head.bias, torch.full((CLASSES - 1,), 0.25))


def test_a_network_of_another_kind_is_refused():
    setup = Setup(OptimizerConfig(), Validation([], ["liver"], InferenceSpec((8, 8, 8))), Fabric(), "network", STEPS)
    with pytest.raises(UsageError, match="dual-task consistency is for STU-Nets and nnU-Net's networks"):
        DualTask(torch.nn.Conv3d(1, 2, 1), DualTaskConfig(), setup)


def test_the_authors_values():
    """HiLab-git/DTC, train_la_dtc.py."""
    config = DualTaskStageConfig()
    assert config.optimizer == OptimizerConfig("sgd", 1e-4, 0.9, nesterov=False)
    assert (config.loop.learning_rate, config.loop.steps) == (0.01, 6000)
    settings = config.dual_task
    assert (settings.distance, settings.weight, settings.ramp_steps) == (0.3, 1.0, 40 * 150)
