"""Our instance norm: torch's values and gradients, in the memory format that came in."""

import pytest
import torch

from LiverMRISegLib.networks.instance_norm import InstanceNorm3d


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("batch", [1, 3])
def test_values_and_gradients_are_those_of_torch(batch, order):
    torch.manual_seed(0)
    ours, theirs = InstanceNorm3d(4, affine=True), torch.nn.InstanceNorm3d(4, affine=True)
    with torch.no_grad():
        ours.weight.normal_()
        ours.bias.normal_()
    theirs.load_state_dict(ours.state_dict())
    image = (5 * torch.randn(batch, 4, 6, 7, 8) + 3).contiguous(memory_format=order)
    first, second = image.clone().requires_grad_(), image.clone().requires_grad_()
    one, two = ours(first), theirs(second)
    assert one.is_contiguous(memory_format=order)
    assert torch.allclose(one, two, atol=1e-5)
    weights = torch.randn(one.shape)
    (one * weights).sum().backward()
    (two * weights).sum().backward()
    assert torch.allclose(first.grad, second.grad, atol=1e-4)
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)


def test_evaluation_uses_the_image_itself_as_well():
    norm = InstanceNorm3d(2, affine=True).eval()
    image = 7 + torch.randn(2, 2, 5, 5, 5)
    assert torch.allclose(norm(image).mean((2, 3, 4)), torch.zeros(2, 2), atol=1e-5)
