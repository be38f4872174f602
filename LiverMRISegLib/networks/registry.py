"""Every network under its names: the torch module, its tensors' shapes and its OpenVINO graph, registered together.

To add a network: a file with the module, one with the shapes, one with the graph if CPUs shall run it without torch,
and an entry in `NETWORKS`. Nothing here imports torch or OpenVINO until a network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.networks.nnunet_openvino import nnunet_graph
from LiverMRISegLib.networks.nnunet_shapes import nnunet_shapes
from LiverMRISegLib.networks.sam_med3d_shapes import sam_med3d_shapes
from LiverMRISegLib.networks.shapes import Shape
from LiverMRISegLib.networks.sizes import GENERIC, NNUNETS, SAM_MED3D, STUNET_SIZES, resolve_size
from LiverMRISegLib.networks.stunet_openvino import stunet_graph
from LiverMRISegLib.networks.stunet_shapes import stunet_shapes

if TYPE_CHECKING:
    import numpy as np
    import openvino as ov
    from torch import nn


@dataclass(frozen=True)
class Network:
    """One network and the names it goes by.

    `build(name, **kwargs)` makes the torch module with random weights; `shapes(name, kwargs)` the name and shape of
    each of its tensors; `graph(name, kwargs, weights, patch, batch)` the OpenVINO graph, None if there is none.
    """

    names: tuple[str, ...]
    build: Callable[..., nn.Module]
    shapes: Callable[[str, Mapping[str, Any]], dict[str, Shape]]
    graph: Callable[[str, Mapping[str, Any], Mapping[str, np.ndarray], Sequence[int], int], ov.Model] | None = None


def _build_stunet(name: str, *, in_channels: int, out_channels: int, **kwargs: Any) -> nn.Module:
    from LiverMRISegLib.networks.stunet import STUNet

    size, rest = resolve_size(name, kwargs)
    return STUNet(in_channels, out_channels, widths=size.widths, blocks=size.blocks, **rest)


def _build_nnunet(name: str, *, in_channels: int, out_channels: int, **kwargs: Any) -> nn.Module:
    from LiverMRISegLib.networks.nnunet_unets import NnUNet

    return NnUNet(name, in_channels, out_channels, **kwargs)


def _build_sam_med3d(_name: str, *, in_channels: int, out_channels: int, **kwargs: Any) -> nn.Module:
    """It sees one channel, whatever `in_channels` says."""
    from LiverMRISegLib.networks.sam_med3d import SamMed3DEncoder

    return SamMed3DEncoder(out_channels=out_channels, **kwargs)


STUNET = Network((*STUNET_SIZES, GENERIC), _build_stunet, stunet_shapes, stunet_graph)
NNUNET = Network(NNUNETS, _build_nnunet, nnunet_shapes, nnunet_graph)
SAM_MED3D_ENCODER = Network((SAM_MED3D,), _build_sam_med3d, sam_med3d_shapes)
NETWORKS = (STUNET, NNUNET, SAM_MED3D_ENCODER)


def network_named(name: str) -> Network:
    """The network of this name; UsageError lists the names if there is none."""
    for network in NETWORKS:
        if name in network.names:
            return network
    known = ", ".join(known for network in NETWORKS for known in network.names)
    raise UsageError(f"unknown network '{name}'; known are: {known}")


def build_network(name: str, *, in_channels: int, out_channels: int, **kwargs: Any) -> nn.Module:
    """Build a network with random weights, in torch.

    Args:
        name: "stunet-xxs" to "stunet-h", "stunet" with `widths` and `blocks`, or nnU-Net's "plain-unet" and
            "residual-encoder-unet" with `features`, `strides`, `blocks` (and `kernels`); or "sam-med3d-encoder".
        in_channels: image channels.
        out_channels: classes, background included.
        **kwargs: `strides` (of STU-Nets five triples [Z, Y, X]) and `deep_supervision` (bool).

    Raises:
        UsageError: unknown name or argument.
    """
    network = network_named(name)
    try:
        return network.build(name, in_channels=in_channels, out_channels=out_channels, **kwargs)
    except TypeError as error:
        raise UsageError(f"network '{name}': {error}") from error


def parameter_shapes(name: str, kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """Name and shape of every tensor of `build_network(name, **kwargs)`; UsageError if the name is unknown."""
    return network_named(name).shapes(name, kwargs)


def has_graph(name: str) -> bool:
    """Whether OpenVINO can run the network without torch; UsageError if the name is unknown."""
    return network_named(name).graph is not None


def openvino_graph(
    name: str, kwargs: Mapping[str, Any], weights: Mapping[str, np.ndarray], patch: Sequence[int], batch: int = 1
) -> ov.Model:
    """The full-resolution output of a network as a graph with input [batch, in_channels, *patch], float32.

    Args:
        name: of the network.
        kwargs: as for `build_network`.
        weights: arrays by the network's own names, of any float type.
        patch: voxels [Z, Y, X].
        batch: patches per call.

    Raises:
        UsageError: an unknown network, or one without a graph.
        KeyError: a tensor is missing (a verified package contains all).
    """
    graph = network_named(name).graph
    if graph is None:
        raise UsageError(f"network '{name}' has no OpenVINO graph; install torch to run it")
    return graph(name, kwargs, weights, patch, batch)
