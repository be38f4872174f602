"""nnU-Net's two U-Nets as OpenVINO graphs, built straight from the weights: CPUs run them without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from LiverMRISegLib.networks.openvino_operations import Operations
from LiverMRISegLib.networks.sizes import PLAIN

if TYPE_CHECKING:
    import openvino as ov

_ONES = (1, 1, 1)


def nnunet_graph(
    name: str, kwargs: Mapping[str, Any], weights: Mapping[str, np.ndarray], patch: Sequence[int], batch: int = 1
) -> ov.Model:
    """As `registry.openvino_graph`."""
    import openvino as ov

    graph = _Graph(name, kwargs, weights)
    image = graph.ops.parameter([batch, int(kwargs["in_channels"]), *patch], np.float32, name="image")
    return ov.Model([graph.logits(image)], [image], name)


class _Graph(Operations):
    """In the order of dynamic-network-architectures' forward."""

    def __init__(self, name: str, kwargs: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(weights)
        self.is_plain = name == PLAIN
        self.strides: list[Sequence[int]] = list(kwargs["strides"])
        self.blocks: list[int] = list(kwargs["blocks"])

    def logits(self, x: Any) -> Any:
        """The output for an image [B, C, Z, Y, X]."""
        skips = []
        if not self.is_plain:
            x = self._unit("encoder.stem.convs.0", x)
        for stage, stride in enumerate(self.strides):
            x = self._stage(stage, x, stride)
            skips.append(x)
        levels = len(self.strides) - 1
        for level in range(levels):
            x = self._upsampled(f"decoder.transpconvs.{level}", x, self.strides[-1 - level])
            x = self.ops.concat([x, skips[-2 - level]], axis=1)
            for number in range(2 if self.is_plain else 1):
                x = self._unit(f"decoder.stages.{level}.convs.{number}", x)
        return self.convolution(f"decoder.seg_layers.{levels - 1}", x)

    def _stage(self, stage: int, x: Any, stride: Sequence[int]) -> Any:
        for number in range(self.blocks[stage]):
            step = stride if number == 0 else _ONES
            if self.is_plain:
                x = self._unit(f"encoder.stages.{stage}.0.convs.{number}", x, step)
            else:
                x = self._block(f"encoder.stages.{stage}.blocks.{number}", x, step)
        return x

    def _unit(self, prefix: str, x: Any, stride: Sequence[int] = _ONES) -> Any:
        x = self.convolution(f"{prefix}.conv", x, stride)
        return self.activated(self.normalised(f"{prefix}.norm", x))

    def _block(self, prefix: str, x: Any, stride: Sequence[int]) -> Any:
        """Two convolutions, and a skip that pools where they stride and projects where they widen."""
        skip, pooled = x, int(tuple(stride) != _ONES)
        if pooled:
            skip = self.ops.avg_pool(skip, list(stride), [0, 0, 0], [0, 0, 0], list(stride), False)
        projection = f"{prefix}.skip.{pooled}"
        if f"{projection}.conv.weight" in self.weights:
            skip = self.normalised(f"{projection}.norm", self.convolution(f"{projection}.conv", skip))
        x = self._unit(f"{prefix}.conv1", x, stride)
        x = self.normalised(f"{prefix}.conv2.norm", self.convolution(f"{prefix}.conv2.conv", x))
        return self.activated(self.ops.add(x, skip))

    def _upsampled(self, prefix: str, x: Any, stride: Sequence[int]) -> Any:
        kernel, none = self.constant(f"{prefix}.weight"), [0, 0, 0]
        x = self.ops.convolution_backprop_data(
            x, kernel, list(stride), pads_begin=none, pads_end=none, dilations=list(_ONES)
        )
        return self.biased(prefix, x)
