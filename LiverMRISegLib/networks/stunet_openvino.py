"""STU-Net as an OpenVINO graph, built straight from the weights: CPUs run it without torch being installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from LiverMRISegLib.networks.openvino_operations import Operations
from LiverMRISegLib.networks.sizes import DEFAULT_STRIDES, Size, resolve_size

if TYPE_CHECKING:
    import openvino as ov


def stunet_graph(
    name: str, kwargs: Mapping[str, Any], weights: Mapping[str, np.ndarray], patch: Sequence[int], batch: int = 1
) -> ov.Model:
    """As `registry.openvino_graph`."""
    size, rest = resolve_size(name, kwargs)
    strides = [tuple(s) for s in rest.get("strides", DEFAULT_STRIDES)]
    return _Builder(size, strides, weights).model([batch, int(rest["in_channels"]), *patch])


class _Builder(Operations):
    """In the order of `stunet.STUNet.forward`."""

    def __init__(self, size: Size, strides: Sequence[Sequence[int]], weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(weights)
        self.size, self.strides = size, strides

    def model(self, shape: Sequence[int]) -> ov.Model:
        """The whole graph for an input of `shape` [B, C, Z, Y, X]."""
        import openvino as ov

        image = self.ops.parameter(list(shape), np.float32, name="image")
        x, skips = image, []
        for stage, stride in enumerate(((1, 1, 1), *self.strides)):
            x = self._stage(f"conv_blocks_context.{stage}", x, stride)
            skips.append(x)
        for level, factor in enumerate(reversed(self.strides)):
            x = self._upsampled(self.convolution(f"upsample_layers.{level}.conv", x), factor)
            x = self._stage(f"conv_blocks_localization.{level}", self.ops.concat([x, skips[-2 - level]], axis=1))
        logits = self.convolution(f"seg_outputs.{len(self.strides) - 1}", x)
        return ov.Model([logits], [image], "stunet")

    def _stage(self, prefix: str, x: Any, stride: Sequence[int] = (1, 1, 1)) -> Any:
        for block in range(self.size.blocks):
            x = self._block(f"{prefix}.{block}", x, stride if block == 0 else (1, 1, 1))
        return x

    def _block(self, prefix: str, x: Any, stride: Sequence[int]) -> Any:
        has_projection = f"{prefix}.conv3.weight" in self.weights
        skip = self.convolution(f"{prefix}.conv3", x, stride) if has_projection else x
        x = self.activated(self.normalised(f"{prefix}.norm1", self.convolution(f"{prefix}.conv1", x, stride)))
        x = self.normalised(f"{prefix}.norm2", self.convolution(f"{prefix}.conv2", x))
        return self.activated(self.ops.add(x, skip))

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
