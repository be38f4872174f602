"""The tensors of `stunet.STUNet` by name and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from LiverMRISegLib.networks.shapes import Shape, convolution
from LiverMRISegLib.networks.sizes import resolve_size


def stunet_shapes(name: str, kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """As `registry.parameter_shapes`."""
    size, rest = resolve_size(name, kwargs)
    widths, classes = size.widths, int(rest["out_channels"])
    shapes: dict[str, Shape] = {}
    for stage, (inputs, outputs) in enumerate(pairwise((int(rest["in_channels"]), *widths))):
        for block in range(size.blocks):
            prefix = f"conv_blocks_context.{stage}.{block}"
            shapes.update(_block(prefix, outputs if block else inputs, outputs, project=block == 0))
    for level, (inputs, outputs) in enumerate(pairwise(reversed(widths))):
        shapes.update(convolution(f"upsample_layers.{level}.conv", inputs, outputs, 1))
        for block in range(size.blocks):
            prefix = f"conv_blocks_localization.{level}.{block}"
            shapes.update(_block(prefix, outputs if block else 2 * outputs, outputs, project=block == 0))
        shapes.update(convolution(f"seg_outputs.{level}", outputs, classes, 1))
    return shapes


def _block(prefix: str, inputs: int, outputs: int, *, project: bool) -> Iterator[tuple[str, Shape]]:
    yield from convolution(f"{prefix}.conv1", inputs, outputs, 3)
    yield from convolution(f"{prefix}.conv2", outputs, outputs, 3)
    for norm in ("norm1", "norm2"):
        yield f"{prefix}.{norm}.weight", (outputs,)
        yield f"{prefix}.{norm}.bias", (outputs,)
    if project:
        yield from convolution(f"{prefix}.conv3", inputs, outputs, 1)
