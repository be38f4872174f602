"""The networks of the papers, by name from plain data; see `registry`."""

from LiverMRISegLib.networks.registry import build_network, openvino_graph, parameter_shapes

__all__ = ["build_network", "openvino_graph", "parameter_shapes"]
