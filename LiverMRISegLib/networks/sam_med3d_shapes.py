"""The tensors of `sam_med3d.SamMed3DEncoder` by name and shape; the defaults are its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.networks.shapes import Shape


def sam_med3d_shapes(_name: str, kwargs: Mapping[str, Any]) -> dict[str, Shape]:
    """As `registry.parameter_shapes`."""
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
