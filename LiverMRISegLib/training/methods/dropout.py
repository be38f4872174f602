"""Dropout in networks that have none, for methods that need answers which differ each time (UA-MT)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from LiverMRISegLib.errors import UsageError

# The stages of the encoder, coarsest last, and of the decoder, finest last: of STU-Net and of nnU-Net's networks.
_STAGES = (
    ("conv_blocks_context", "conv_blocks_localization"),
    ("_network.encoder.stages", "_network.decoder.stages"),
)


class _Drop:
    """A forward hook: values of a module in training mode are dropped at a rate."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return F.dropout(output, self.rate, training=module.training)


def add_dropout(network: nn.Module, rate: float) -> None:
    """Drop values at `rate` after the coarsest stage and before the finest head, where SSL4MIS's 3D U-Net does.

    It acts in training mode alone and adds no weights: what is exported is the network without it.

    Raises:
        UsageError: the network is neither a STU-Net nor one of nnU-Net's.
    """
    for encoder, decoder in _STAGES:
        try:
            ends = [network.get_submodule(path)[-1] for path in (encoder, decoder)]  # type: ignore[index]
        except AttributeError:
            continue
        for end in ends:
            end.register_forward_hook(_Drop(rate))
        return
    raise UsageError("dropout is for STU-Nets and nnU-Net's networks; set teacher.dropout to 0 for another")
