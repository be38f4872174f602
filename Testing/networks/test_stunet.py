"""STU-Net against the authors' figures, and its OpenVINO graph against torch."""

import numpy as np
import pytest
import torch

from helpers.packages import TINY_KWARGS
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.quiet_openvino import the_core
from LiverMRISegLib.networks import build_network, openvino_graph
from LiverMRISegLib.networks.registry import parameter_shapes

RELEASED_STRIDES = [[2, 2, 2]] * 4 + [[1, 1, 2]]
SMALL = {**TINY_KWARGS, "widths": [4, 6, 8, 8, 12, 12], "blocks": 2}


@pytest.mark.parametrize(
    ("name", "parameters", "entries"),
    [("stunet-s", 14_596_941, 130), ("stunet-b", 58_262_669, 130), ("stunet-l", 440_302_605, 218)],
)
def test_sizes_are_the_published_ones(name, parameters, entries):
    shapes = parameter_shapes(name, {"in_channels": 1, "out_channels": 105})
    assert sum(int(np.prod(s)) for s in shapes.values()) == parameters
    assert len(shapes) == entries


def test_huge_has_the_published_size():
    shapes = parameter_shapes("stunet-h", {"in_channels": 1, "out_channels": 105})
    assert sum(int(np.prod(s)) for s in shapes.values()) / 1e6 == pytest.approx(1457.33, abs=0.1)


@pytest.mark.parametrize("name", ["stunet-xxs", "stunet-xs", "stunet-s"])
def test_shapes_are_those_of_the_network(name):
    kwargs = {"in_channels": 2, "out_channels": 5, "strides": RELEASED_STRIDES}
    network = build_network(name, **kwargs)
    built = {key: tuple(t.shape) for key, t in network.state_dict().items()}
    assert built == parameter_shapes(name, kwargs)


def test_shapes_with_several_blocks():
    built = {key: tuple(t.shape) for key, t in build_network("stunet", **SMALL).state_dict().items()}
    assert built == parameter_shapes("stunet", SMALL)


def test_logits_of_the_original_code():
    """Frozen values of the authors' network on the same weights and input (methods.md 12b)."""
    network = build_network("stunet-s", in_channels=1, out_channels=3, strides=RELEASED_STRIDES, deep_supervision=True)
    state = {}
    for i, (name, tensor) in enumerate(sorted(network.state_dict().items())):
        base = np.sin(0.37 * np.arange(tensor.numel()) + i).reshape(tuple(tensor.shape))
        if tensor.ndim > 1:
            base = base / np.sqrt(tensor[0].numel())
        else:
            base = 1 + 0.1 * base if name.endswith("weight") else 0.1 * base
        state[name] = torch.from_numpy(base.astype(np.float32))
    network.load_state_dict(state)
    image = torch.cos(0.01 * torch.arange(32**3, dtype=torch.float64)).float().view(1, 1, 32, 32, 32)
    with torch.no_grad():
        outputs = network.eval()(image)
    expected = [
        (-0.139028, 0.076609, (-0.04873, -0.03860, -0.02152), (-0.08505, -0.07303)),
        (-0.059447, 0.240670, (-0.00541, -0.03500, -0.04279), (-0.15170, -0.14609)),
        (0.231315, 0.179324, (0.14507, 0.17385, 0.20024), (0.01683, 0.01950)),
        (-0.146632, 0.374772, (-0.57939, -0.75051, -0.71776), (-0.18240, -0.19826)),
        (0.075865, 0.590106, (-0.28598, 0.22313, -0.27052), (-0.12661, -0.36297)),
    ]
    # The bottleneck normalises over 4 voxels, which magnifies rounding: the coarsest output agrees less exactly.
    for output, (mean, deviation, first, last), slack in zip(outputs, expected, (1, 1, 1, 2, 10), strict=True):
        flat = output.flatten()
        assert flat.mean().item() == pytest.approx(mean, abs=3e-4 * slack)
        assert flat.std().item() == pytest.approx(deviation, abs=3e-4 * slack)
        assert flat[:3].tolist() == pytest.approx(first, abs=5e-4 * slack)
        assert flat[-2:].tolist() == pytest.approx(last, abs=5e-4 * slack)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("kwargs", "patch"),
    [
        ({"widths": [4, 8, 8, 8, 12, 12], "strides": RELEASED_STRIDES}, (16, 32, 64)),
        ({**SMALL, "strides": [[1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1]]}, (8, 16, 24)),
    ],
)
def test_openvino_gives_the_same_logits(kwargs, patch, batch):
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    kwargs = {"in_channels": 1, "out_channels": 4, **{k: v for k, v in kwargs.items() if "channels" not in k}}
    network = build_network("stunet", **kwargs).eval()
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    image = np.random.default_rng(0).normal(size=(batch, 1, *patch)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    graph = openvino_graph("stunet", kwargs, weights, patch, batch)
    compiled = the_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(compiled(image)[0] - expected).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("unet", {}, "unknown network 'unet'"),
        ("stunet", {}, "needs widths"),
        ("stunet", {"widths": [1, 2]}, "six positive"),
        ("stunet-s", {"strides": [[2, 2, 2]]}, "five triples"),
        ("stunet-s", {"colour": 3}, "colour"),
    ],
)
def test_wrong_arguments(name, kwargs, words):
    with pytest.raises(UsageError, match=words):
        build_network(name, in_channels=1, out_channels=2, **kwargs)


def test_wrong_input_size():
    with pytest.raises(UsageError, match=r"must be multiples of \[4, 4, 4\]; the nearest is \[8, 8, 8\]"):
        build_network("stunet", **TINY_KWARGS)(torch.zeros(1, 1, 8, 8, 10))


def test_an_input_that_leaves_one_voxel():
    network = build_network("stunet", **TINY_KWARGS)
    strides = np.prod(TINY_KWARGS["strides"], axis=0)
    with pytest.raises(UsageError, match="too small"):
        network(torch.zeros(1, 1, *strides.tolist()))
