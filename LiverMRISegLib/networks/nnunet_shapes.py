"""The tensors of `nnunet_unets.NnUNet` by name and shape, in its order of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from LiverMRISegLib.networks.shapes import Shape, convolution
from LiverMRISegLib.networks.sizes import PLAIN, check_nnunet


def nnunet_shapes(name: str, kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """As `registry.parameter_shapes`."""
    features, strides, blocks = (list(kwargs[key]) for key in ("features", "strides", "blocks"))
    given = list(kwargs.get("kernels", ()))
    check_nnunet(features, strides, blocks, given)
    kernels = [tuple(k) for k in given] or [(3, 3, 3)] * len(features)
    channels = int(kwargs["in_channels"])
    if name == PLAIN:
        shapes = _plain_encoder(channels, features, blocks, kernels)
    else:
        shapes = _residual_encoder(channels, features, strides, blocks, kernels)
    for level in range(len(features) - 1):
        below, width = features[-1 - level], features[-2 - level]
        for number in range(2 if name == PLAIN else 1):
            prefix, inputs = f"decoder.stages.{level}.convs.{number}", width if number else 2 * width
            shapes.update(_normed(prefix, inputs, width, kernels[-2 - level]))
        stride = strides[-1 - level]
        shapes[f"decoder.transpconvs.{level}.weight"] = (below, width, *stride)
        shapes[f"decoder.transpconvs.{level}.bias"] = (width,)
        shapes.update(convolution(f"decoder.seg_layers.{level}", width, int(kwargs["out_channels"]), 1))
    return shapes


def _plain_encoder(
    channels: int, features: Sequence[int], blocks: Sequence[int], kernels: Sequence[Shape]
) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    inputs = channels
    for stage, (width, count, kernel) in enumerate(zip(features, blocks, kernels, strict=True)):
        for number in range(count):
            shapes.update(_normed(f"encoder.stages.{stage}.0.convs.{number}", inputs, width, kernel))
            inputs = width
    return shapes


def _residual_encoder(
    channels: int,
    features: Sequence[int],
    strides: Sequence[Sequence[int]],
    blocks: Sequence[int],
    kernels: Sequence[Shape],
) -> dict[str, Shape]:
    shapes = dict(_normed("encoder.stem.convs.0", channels, features[0], kernels[0]))
    inputs = features[0]
    for stage, (width, stride, count, kernel) in enumerate(zip(features, strides, blocks, kernels, strict=True)):
        for block in range(count):
            prefix = f"encoder.stages.{stage}.blocks.{block}"
            shapes.update(_normed(f"{prefix}.conv1", inputs, width, kernel))
            shapes.update(_normed(f"{prefix}.conv2", width, width, kernel))
            if block == 0 and inputs != width:
                pooled = int(any(n != 1 for n in stride))  # an average pool comes before the projection
                shapes.update(_normed(f"{prefix}.skip.{pooled}", inputs, width, (1, 1, 1), bias=False))
            inputs = width
    return shapes


def _normed(prefix: str, inputs: int, outputs: int, kernel: Shape, *, bias: bool = True) -> Iterator[tuple[str, Shape]]:
    yield f"{prefix}.conv.weight", (outputs, inputs, *kernel)
    if bias:
        yield f"{prefix}.conv.bias", (outputs,)
    yield f"{prefix}.norm.weight", (outputs,)
    yield f"{prefix}.norm.bias", (outputs,)
