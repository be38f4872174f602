"""Every network's torch module, shapes and OpenVINO graph are registered together, and fit together."""

import subprocess
import sys

import numpy as np
import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.quiet_openvino import the_core
from LiverMRISegLib.networks import build_network, openvino_graph, parameter_shapes
from LiverMRISegLib.networks.registry import NETWORKS, has_graph, network_named

STUNET = {
    "in_channels": 2,
    "out_channels": 3,
    "widths": [4, 4, 6, 6, 8, 8],
    "strides": [[2, 2, 2]] * 2 + [[1, 1, 1]] * 3,
}
NNUNET = {"in_channels": 2, "out_channels": 3, "features": [4, 6], "strides": [[1, 1, 1], [2, 2, 2]], "blocks": [1, 2]}
SMALL = {
    "stunet": STUNET, "stunet-xxs": {k: v for k, v in STUNET.items() if k != "widths"},
    "plain-unet": NNUNET, "residual-encoder-unet": NNUNET,
    "sam-med3d-encoder": {"in_channels": 1, "out_channels": 4, "size": 32, "width": 24, "depth": 2, "heads": 3},
}  # fmt: skip


def test_every_network_is_tried_here():
    assert {network_named(name) for name in SMALL} == set(NETWORKS)
    names = [name for network in NETWORKS for name in network.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SMALL)
def test_shapes_are_those_of_the_module(name):
    built = {key: tuple(t.shape) for key, t in build_network(name, **SMALL[name]).state_dict().items()}
    assert built == parameter_shapes(name, SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_the_graph_takes_the_weights_of_these_shapes(name):
    random = np.random.default_rng(0)
    weights = {key: random.normal(0, 0.2, shape) for key, shape in parameter_shapes(name, SMALL[name]).items()}
    if not has_graph(name):
        with pytest.raises(UsageError, match="no OpenVINO graph"):
            openvino_graph(name, SMALL[name], weights, (8, 8, 8))
        return
    compiled = the_core().compile_model(openvino_graph(name, SMALL[name], weights, (8, 8, 8)), "CPU")
    assert compiled([random.normal(size=(1, 2, 8, 8, 8)).astype(np.float32)])[0].shape == (1, 3, 8, 8, 8)


def test_unknown_names_and_arguments():
    for ask in (
        has_graph,
        network_named,
        lambda name: parameter_shapes(name, {}),
        lambda n: openvino_graph(n, {}, {}, ()),
    ):
        with pytest.raises(UsageError, match=r"unknown network 'unet'; known are: stunet-xxs, .*plain-unet.*sam-med3d"):
            ask("unet")
    with pytest.raises(UsageError, match=r"network 'plain-unet': .*'depth'"):
        build_network("plain-unet", **NNUNET, depth=3)


def test_asking_for_shapes_imports_neither_torch_nor_openvino():
    code = (
        "import sys; from LiverMRISegLib.networks import parameter_shapes; "
        "parameter_shapes('stunet-s', {'in_channels': 1, 'out_channels': 2}); "
        "sys.stderr.write(' '.join(m for m in ('torch', 'openvino') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
