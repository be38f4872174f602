"""The networks of a package, built and with their weights."""

from __future__ import annotations

import torch

from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.networks.registry import build_network


def built_member(package: ModelPackage, number: int) -> torch.nn.Module:
    """One of the package's networks (0, 1, ...) in float32 on the CPU, for inference only.

    Raises:
        ModelError: the weights do not fit the network.
    """
    spec = package.spec.network
    network = build_network(spec.name, **dict(spec.kwargs))
    network.load_state_dict({name: torch.from_numpy(a).float() for name, a in package.member(number).items()})
    return network.eval().requires_grad_(False)
