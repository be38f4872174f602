"""Muon: what its updates are, which weights it takes, and that a stored state goes on as if never stopped."""

import copy

import pytest
import torch

from helpers.packages import TINY_KWARGS
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.optimizers import Muon, OptimizerConfig, orthogonalised


@pytest.mark.parametrize("shape", [(16, 432), (48, 27), (20, 20)])
def test_updates_have_equal_singular_values_and_the_directions_of_the_gradient(shape):
    torch.manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(*shape), full_matrices=False)
    values = torch.logspace(0, -2, len(values))
    update = orthogonalised(left @ torch.diag(values) @ right)
    inner = left.T @ update @ right.T
    assert torch.linalg.svdvals(update).min() > 0.6
    assert torch.linalg.svdvals(update).max() < 1.3
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-3


def trained(network, optimizer, steps):
    images = torch.randn(steps, 1, 1, 32, 64, 64, generator=torch.Generator().manual_seed(1))
    losses = []
    for image in images:
        loss = torch.nn.functional.cross_entropy(network(image), (image[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def fresh():
    torch.manual_seed(0)
    return build_network("stunet", **{**TINY_KWARGS, "out_channels": 2})


def test_a_network_learns_and_every_weight_moves():
    network = fresh()
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    optimizer = OptimizerConfig("muon").build(network.parameters())
    optimizer.param_groups[0]["lr"] = 0.02
    losses = trained(network, optimizer, 12)
    assert losses[-1] < 0.7 * losses[0]
    still = [n for n, t in network.named_parameters() if torch.equal(t, before[n])]
    # A bias before an instance norm has no effect, where a level is one voxel wide nothing has, and coarse heads wait
    # for deep supervision.
    idle = ("norm", "bias", "context.5", *(f"seg_outputs.{level}" for level in range(4)))
    assert not [name for name in still if not any(part in name for part in idle)]


def test_a_stored_state_goes_on_bit_for_bit():
    network = fresh()
    optimizer = Muon(network.parameters(), weight_decay=0.01)
    trained(network, optimizer, 2)
    other = fresh()
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    resumed = Muon(other.parameters(), weight_decay=0.01)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    trained(network, optimizer, 2)
    trained(other, resumed, 2)
    for (name, tensor), own in zip(network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(tensor, own), name


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(UsageError, match="must be one of adam, adamw, muon, sgd"):
        OptimizerConfig("lion")
