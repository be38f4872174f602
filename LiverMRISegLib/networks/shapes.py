"""The tensors of a network by name and shape, without building it: how a model package is checked without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from LiverMRISegLib.networks.sizes import NNUNETS, PLAIN, SAM_MED3D, check_nnunet, resolve_size

Shape = tuple[int, ...]


def parameter_shapes(name: str, kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """Name and shape of every tensor of `build_network(name, **kwargs)`; UsageError if the name is unknown."""
    if name in NNUNETS:
        return _nnunet(name, kwargs)
    if name == SAM_MED3D:
        return _sam_med3d(kwargs)
    size, rest = resolve_size(name, kwargs)
    widths, classes = size.widths, int(rest["out_channels"])
    shapes: dict[str, Shape] = {}
    for stage, (inputs, outputs) in enumerate(pairwise((int(rest["in_channels"]), *widths))):
        for block in range(size.blocks):
            prefix = f"conv_blocks_context.{stage}.{block}"
            shapes.update(_block(prefix, outputs if block else inputs, outputs, project=block == 0))
    for level, (inputs, outputs) in enumerate(pairwise(reversed(widths))):
        shapes.update(_convolution(f"upsample_layers.{level}.conv", inputs, outputs, 1))
        for block in range(size.blocks):
            prefix = f"conv_blocks_localization.{level}.{block}"
            shapes.update(_block(prefix, outputs if block else 2 * outputs, outputs, project=block == 0))
        shapes.update(_convolution(f"seg_outputs.{level}", outputs, classes, 1))
    return shapes


def _sam_med3d(kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """Of `networks.sam_med3d`, whose defaults these are."""
    size, patch, width = (int(kwargs.get(k, d)) for k, d in (("size", 128), ("patch", 16), ("width", 768)))
    heads, window, depth = (int(kwargs.get(k, d)) for k, d in (("heads", 12), ("window", 14), ("depth", 12)))
    grid, outputs = size // patch, int(kwargs["out_channels"])
    everywhere = tuple(kwargs.get("global_blocks", (2, 5, 8, 11)))
    shapes: dict[str, Shape] = {"pos_embed": (1, grid, grid, grid, width)}
    shapes |= {"patch_embed.proj.weight": (width, 1, patch, patch, patch), "patch_embed.proj.bias": (width,)}
    for number in range(depth):
        prefix, among = f"blocks.{number}", grid if number in everywhere else window
        for norm in ("norm1", "norm2"):
            shapes |= {f"{prefix}.{norm}.weight": (width,), f"{prefix}.{norm}.bias": (width,)}
        shapes |= {f"{prefix}.attn.rel_pos_{axis}": (2 * among - 1, width // heads) for axis in "dhw"}
        layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
        layers |= {"mlp.lin1": (4 * width, width), "mlp.lin2": (width, 4 * width)}
        for layer, shape in layers.items():
            shapes |= {f"{prefix}.{layer}.weight": shape, f"{prefix}.{layer}.bias": shape[:1]}
    shapes |= {"neck.0.weight": (outputs, width, 1, 1, 1), "neck.2.weight": (outputs, outputs, 3, 3, 3)}
    for norm in ("neck.1", "neck.3"):
        shapes |= {f"{norm}.weight": (outputs,), f"{norm}.bias": (outputs,)}
    return shapes


def _nnunet(kind: str, kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """Of `networks.nnunet_unets`, in its order of names."""
    features, strides, blocks = (list(kwargs[key]) for key in ("features", "strides", "blocks"))
    given = list(kwargs.get("kernels", ()))
    check_nnunet(features, strides, blocks, given)
    kernels = [tuple(k) for k in given] or [(3, 3, 3)] * len(features)
    channels = int(kwargs["in_channels"])
    if kind == PLAIN:
        shapes = _plain_encoder(channels, features, blocks, kernels)
    else:
        shapes = _residual_encoder(channels, features, strides, blocks, kernels)
    for level in range(len(features) - 1):
        below, width = features[-1 - level], features[-2 - level]
        for number in range(2 if kind == PLAIN else 1):
            name, inputs = f"decoder.stages.{level}.convs.{number}", width if number else 2 * width
            shapes.update(_normed(name, inputs, width, kernels[-2 - level]))
        stride = strides[-1 - level]
        shapes[f"decoder.transpconvs.{level}.weight"] = (below, width, *stride)
        shapes[f"decoder.transpconvs.{level}.bias"] = (width,)
        shapes.update(_convolution(f"decoder.seg_layers.{level}", width, int(kwargs["out_channels"]), 1))
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
                pooled = int(any(n != 1 for n in stride))  # an average pool stands before the projection
                shapes.update(_normed(f"{prefix}.skip.{pooled}", inputs, width, (1, 1, 1), bias=False))
            inputs = width
    return shapes


def _normed(prefix: str, inputs: int, outputs: int, kernel: Shape, *, bias: bool = True) -> Iterator[tuple[str, Shape]]:
    yield f"{prefix}.conv.weight", (outputs, inputs, *kernel)
    if bias:
        yield f"{prefix}.conv.bias", (outputs,)
    yield f"{prefix}.norm.weight", (outputs,)
    yield f"{prefix}.norm.bias", (outputs,)


def _block(prefix: str, inputs: int, outputs: int, *, project: bool) -> Iterator[tuple[str, Shape]]:
    yield from _convolution(f"{prefix}.conv1", inputs, outputs, 3)
    yield from _convolution(f"{prefix}.conv2", outputs, outputs, 3)
    for norm in ("norm1", "norm2"):
        yield f"{prefix}.{norm}.weight", (outputs,)
        yield f"{prefix}.{norm}.bias", (outputs,)
    if project:
        yield from _convolution(f"{prefix}.conv3", inputs, outputs, 1)


def _convolution(prefix: str, inputs: int, outputs: int, kernel: int) -> Iterator[tuple[str, Shape]]:
    yield f"{prefix}.weight", (outputs, inputs, kernel, kernel, kernel)
    yield f"{prefix}.bias", (outputs,)
