"""nnU-Net's residual-encoder U-Net: every tensor once, the shapes known without torch, states that go round."""

import pytest
import torch

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.quiet_openvino import the_core
from LiverMRISegLib.networks import build_network, openvino_graph
from LiverMRISegLib.networks.registry import parameter_shapes

KWARGS = {
    "in_channels": 1, "out_channels": 3, "features": [4, 8, 8, 12], "blocks": [1, 2, 3, 1],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 1, 1]],
}  # fmt: skip


KINDS = pytest.mark.parametrize("kind", ["plain-unet", "residual-encoder-unet"])


def made(seed: int = 0, kind: str = "residual-encoder-unet", **changes):
    torch.manual_seed(seed)
    return build_network(kind, **{**KWARGS, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]}, {"out_channels": 14}]
)
@KINDS
def test_shapes_are_known_without_building(kind, changes):
    state = made(kind=kind, **changes).state_dict()
    expected = parameter_shapes(kind, {**KWARGS, **changes})
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected


def test_nnunets_medium_size():
    """ResEncM of FLARE's 14 classes: 101.87 M parameters (methods.md 7)."""
    features, blocks = [32, 64, 128, 256, 320, 320], [1, 3, 4, 6, 6, 6]
    strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
    shapes = parameter_shapes(
        "residual-encoder-unet",
        {"in_channels": 1, "out_channels": 14, "features": features, "blocks": blocks, "strides": strides,
         "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]},
    )  # fmt: skip
    count = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert count == pytest.approx(101.87e6, rel=0.01)


@KINDS
def test_every_tensor_is_there_once_and_goes_round(kind):
    first, second = made(0, kind), made(1, kind)
    state = first.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    assert sum(t.numel() for t in state.values()) == sum(p.numel() for p in first.parameters())
    x = torch.randn(1, 1, 8, 16, 16)
    assert not torch.allclose(first(x), second(x))
    second.load_state_dict(state)
    assert torch.equal(first(x), second(x))


def test_residual_blocks_begin_as_their_skip():
    """As nnU-Net's own networks do."""
    state = made().state_dict()
    last = [name for name in state if name.endswith(("conv2.norm.weight", "conv2.norm.bias"))]
    assert len(last) == 2 * sum(KWARGS["blocks"])
    assert not any(state[name].any() for name in last)
    assert all(tensor.any() for name, tensor in state.items() if name.endswith("conv1.norm.weight"))


def test_states_of_others_are_refused():
    state = made().state_dict()
    with pytest.raises(RuntimeError, match="missing"):
        made().load_state_dict({k: v for k, v in state.items() if "stem" not in k})
    with pytest.raises(RuntimeError, match="unknown"):
        made().load_state_dict({**state, "more": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="shape"):
        made(out_channels=4).load_state_dict(state)


@KINDS
def test_deep_supervision_gives_every_decoder_stage(kind):
    outputs = made(kind=kind, deep_supervision=True)(torch.zeros(1, 1, 8, 16, 16))
    assert [tuple(o.shape[2:]) for o in outputs] == [(8, 16, 16), (8, 8, 8), (4, 4, 4)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strides": [[2, 2, 2]] * 4}, "the first"),
        ({"blocks": [1, 2]}, "blocks must be 4"),
        ({"features": [4]}, "two or more stages"),
        ({"kernels": [[2, 2, 2]] * 4}, "odd"),
        ({"width": 3}, "residual-encoder-unet"),
    ],
)
def test_arguments_that_do_not_fit_are_named(changes, words):
    with pytest.raises(UsageError, match=words):
        made(**changes)


def test_the_small_network_of_paper_004():
    """16 channels, two convolutions a stage, four downsamplings: five stages (methods.md 9)."""
    features = [16, 32, 64, 128, 256]
    kwargs = {"in_channels": 1, "out_channels": 14, "features": features, "blocks": [2] * 5,
              "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2]]}  # fmt: skip
    network = build_network("plain-unet", **kwargs)
    assert network(torch.zeros(1, 1, 8, 32, 32)).shape == (1, 14, 8, 32, 32)
    count = sum(torch.Size(s).numel() for s in parameter_shapes("plain-unet", kwargs).values())
    assert count == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("changes", [{}, {"kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]}, {"in_channels": 2}])
@KINDS
def test_openvino_gives_the_same_logits(kind, changes):
    pytest.importorskip("openvino")
    network = made(kind=kind, **changes).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # norms and biases that show where they are left out
            parameter.add_(0.1 * torch.randn(parameter.shape))
    patch, channels = (8, 16, 24), changes.get("in_channels", 1)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    graph = openvino_graph(kind, {**KWARGS, **changes}, weights, patch)
    image = torch.randn(1, channels, *patch)
    found = the_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([image.numpy()])[0]
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(found), network(image), atol=1e-4)
