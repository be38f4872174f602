"""What the networks' OpenVINO graphs are made of: convolutions, normalisation, activation, from named weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_EPSILON = 1e-5
_SLOPE = 0.01


class Operations:
    """Appends operations to a graph; `weights` are arrays by the network's own names, of any float type."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        import openvino.opset13 as ops  # the engine has imported openvino, without its telemetry

        self.ops: Any = ops
        self.weights = weights

    def convolution(self, prefix: str, x: Any, stride: Sequence[int] = (1, 1, 1)) -> Any:
        """`prefix`.weight of odd sizes, padded to keep the size where the stride is 1; plus `prefix`.bias if any."""
        kernel = self.constant(f"{prefix}.weight")
        pad = [size // 2 for size in self.weights[f"{prefix}.weight"].shape[2:]]
        x = self.ops.convolution(x, kernel, list(stride), pad, pad, [1, 1, 1])
        return self.biased(prefix, x)

    def biased(self, prefix: str, x: Any) -> Any:
        """Plus `prefix`.bias, if there is one."""
        has_bias = f"{prefix}.bias" in self.weights
        return self.ops.add(x, self.per_channel(f"{prefix}.bias")) if has_bias else x

    def normalised(self, prefix: str, x: Any) -> Any:
        """Each channel to mean 0 and deviation 1, then `prefix`.weight and `prefix`.bias."""
        x = self.ops.mvn(x, np.array([2, 3, 4], np.int64), True, _EPSILON, "inside_sqrt")
        scaled = self.ops.multiply(x, self.per_channel(f"{prefix}.weight"))
        return self.ops.add(scaled, self.per_channel(f"{prefix}.bias"))

    def activated(self, x: Any) -> Any:
        """Leaky ReLU of slope 0.01."""
        return self.ops.prelu(x, np.array([_SLOPE], np.float32))

    def constant(self, name: str) -> Any:
        """A tensor of the weights, float32; not copied if it is that already."""
        return self.ops.constant(np.ascontiguousarray(self.weights[name], dtype=np.float32), shared_memory=True)

    def per_channel(self, name: str) -> Any:
        """A vector of the weights as [1, C, 1, 1, 1]."""
        return self.ops.constant(np.asarray(self.weights[name], np.float32).reshape(1, -1, 1, 1, 1))
