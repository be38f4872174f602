"""Networks by name from plain data, as configs and model packages hold it."""

from __future__ import annotations

from typing import Any

from torch import nn

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.networks.sizes import NNUNETS, SAM_MED3D, resolve_size
from LiverMRISegLib.networks.stunet import STUNet


def build_network(name: str, *, in_channels: int, out_channels: int, **kwargs: Any) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: "stunet-xxs" to "stunet-h", "stunet" with `widths` and `blocks`, or nnU-Net's "plain-unet" and
            "residual-encoder-unet" with `features`, `strides`, `blocks` (and `kernels`); or "sam-med3d-encoder".
        in_channels: image channels.
        out_channels: classes, background included.
        **kwargs: `strides` (five triples [Z, Y, X]) and `deep_supervision` (bool).

    Raises:
        UsageError: unknown name or argument.
    """
    if name in NNUNETS:
        from LiverMRISegLib.networks.nnunet_unets import NnUNet

        try:
            return NnUNet(name, in_channels, out_channels, **kwargs)
        except TypeError as error:
            raise UsageError(f"network '{name}': {error}") from error
    if name == SAM_MED3D:
        from LiverMRISegLib.networks.sam_med3d import SamMed3DEncoder

        try:
            return SamMed3DEncoder(out_channels=out_channels, **kwargs)
        except TypeError as error:
            raise UsageError(f"network '{name}': {error}") from error
    size, rest = resolve_size(name, kwargs)
    try:
        return STUNet(in_channels, out_channels, widths=size.widths, blocks=size.blocks, **rest)
    except TypeError as error:
        raise UsageError(f"network '{name}': {error}") from error
