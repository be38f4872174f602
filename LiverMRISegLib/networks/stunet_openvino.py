"""STU-Net as an OpenVINO graph, built straight from the weights: CPUs run it without torch being installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from LiverMRISegLib.networks.sizes import DEFAULT_STRIDES, Size, resolve_size

if TYPE_CHECKING:
    import openvino as ov

_EPSILON = 1e-5
_SLOPE = 0.01


def openvino_graph(
    name: str, kwargs: Mapping[str, Any], weights: Mapping[str, np.ndarray], patch: Sequence[int], batch: int = 1
) -> ov.Model:
    """The full-resolution output of network `name` as a graph with input [batch, in_channels, *patch], float32.

    Args:
        name: a name of the STU-Net family.
        kwargs: as of `build_network`.
        weights: arrays by the network's own names, of any float type.
        patch: voxels [Z, Y, X].
        batch: patches per call.

    Raises:
        UsageError: not a network of this family.
        KeyError: a tensor is missing (a verified package holds all).
    """
    size, rest = resolve_size(name, kwargs)
    strides = [tuple(s) for s in rest.get("strides", DEFAULT_STRIDES)]
    return _Builder(size, strides, weights).model([batch, int(rest["in_channels"]), *patch])


class _Builder:
    """Appends the operations of STU-Net, in the order of `stunet.STUNet.forward`."""

    def __init__(self, size: Size, strides: Sequence[Sequence[int]], weights: Mapping[str, np.ndarray]) -> None:
        import openvino.opset13 as ops  # the engine has imported openvino, without its telemetry

        self.ops: Any = ops
        self.size, self.strides, self.weights = size, strides, weights

    def model(self, shape: Sequence[int]) -> ov.Model:
        """The whole graph for an input of `shape` [B, C, Z, Y, X]."""
        import openvino as ov

        image = self.ops.parameter(list(shape), np.float32, name="image")
        x, skips = image, []
        for stage, stride in enumerate(((1, 1, 1), *self.strides)):
            x = self._stage(f"conv_blocks_context.{stage}", x, stride)
            skips.append(x)
        for level, factor in enumerate(reversed(self.strides)):
            x = self._upsampled(self._convolution(f"upsample_layers.{level}.conv", x), factor)
            x = self._stage(f"conv_blocks_localization.{level}", self.ops.concat([x, skips[-2 - level]], axis=1))
        logits = self._convolution(f"seg_outputs.{len(self.strides) - 1}", x)
        return ov.Model([logits], [image], "stunet")

    def _stage(self, prefix: str, x: Any, stride: Sequence[int] = (1, 1, 1)) -> Any:
        for block in range(self.size.blocks):
            x = self._block(f"{prefix}.{block}", x, stride if block == 0 else (1, 1, 1))
        return x

    def _block(self, prefix: str, x: Any, stride: Sequence[int]) -> Any:
        has_projection = f"{prefix}.conv3.weight" in self.weights
        skip = self._convolution(f"{prefix}.conv3", x, stride) if has_projection else x
        x = self._activated(self._normalised(f"{prefix}.norm1", self._convolution(f"{prefix}.conv1", x, stride)))
        x = self._normalised(f"{prefix}.norm2", self._convolution(f"{prefix}.conv2", x))
        return self._activated(self.ops.add(x, skip))

    def _convolution(self, prefix: str, x: Any, stride: Sequence[int] = (1, 1, 1)) -> Any:
        kernel = self._constant(f"{prefix}.weight")
        pad = [self.weights[f"{prefix}.weight"].shape[-1] // 2] * 3
        x = self.ops.convolution(x, kernel, list(stride), pad, pad, [1, 1, 1])
        return self.ops.add(x, self._per_channel(f"{prefix}.bias"))

    def _normalised(self, prefix: str, x: Any) -> Any:
        x = self.ops.mvn(x, np.array([2, 3, 4], np.int64), True, _EPSILON, "inside_sqrt")
        scaled = self.ops.multiply(x, self._per_channel(f"{prefix}.weight"))
        return self.ops.add(scaled, self._per_channel(f"{prefix}.bias"))

    def _activated(self, x: Any) -> Any:
        return self.ops.prelu(x, np.array([_SLOPE], np.float32))

    def _upsampled(self, x: Any, factor: Sequence[int]) -> Any:
        return self.ops.interpolate(
            x,
            np.array(factor, np.float32),
            mode="nearest",
            shape_calculation_mode="scales",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=np.array([2, 3, 4], np.int64),
        )

    def _constant(self, name: str) -> Any:
        return self.ops.constant(np.ascontiguousarray(self.weights[name], dtype=np.float32))

    def _per_channel(self, name: str) -> Any:
        return self.ops.constant(np.asarray(self.weights[name], np.float32).reshape(1, -1, 1, 1, 1))
