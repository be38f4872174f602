"""Networks that have an OpenVINO graph, on CPUs: no torch needed, and faster than torch there."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from LiverMRISegLib.inference.engines.quiet_openvino import the_core
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.networks.registry import openvino_graph

logger = logging.getLogger(__name__)
_NAMES = {"auto": "f32", "float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """A package's network compiled for this CPU and the patch of the package.

    `precision` "auto" is float32: the same labels on every CPU. "bfloat16" is two to three times faster on CPUs
    that compute with it, and moves outlines (a Dice of 0.99 to 0.999, `inference.tuning`); others stay at float32.
    """

    def __init__(self, package: ModelPackage, precision: str = "auto") -> None:
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _NAMES[precision]}
        core = the_core()  # before the graphs, which import openvino: with its telemetry, were they the first to do so
        compiled = [_compiled(core, package, member, options) for member in range(package.spec.network.members)]
        self._requests = [model.create_infer_request() for model in compiled]
        chosen = compiled[0].get_property("INFERENCE_PRECISION_HINT").to_string()
        self.device, self.batch = "cpu", 1
        self.name = f"openvino cpu {chosen}"

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine.predict`; the graph takes one patch at a time. The next call may overwrite the result."""
        images = np.ascontiguousarray(batch, np.float32)
        if len(images) == 1:
            return self._mean(images)[None]
        return np.stack([self._mean(image[None]).copy() for image in images])

    def _mean(self, image: np.ndarray) -> np.ndarray:
        """The members' mean logits [C, Z, Y, X] of one image [1, C, Z, Y, X]."""
        total = self._logits(self._requests[0], image)
        for request in self._requests[1:]:
            total = total + self._logits(request, image)
        return total / len(self._requests) if len(self._requests) > 1 else total

    @staticmethod
    def _logits(request: Any, image: np.ndarray) -> np.ndarray:
        """A view of the request's own output [C, Z, Y, X]."""
        request.infer([image])
        found: np.ndarray = request.get_output_tensor(0).data[0]
        return found


def _compiled(core: Any, package: ModelPackage, member: int, options: dict[str, str]) -> Any:
    """A member's network, compiled. The library holds on to the graph's weights, so they are views of the file."""
    network, patch = package.spec.network, package.spec.inference.patch
    with package.mapped_member(member) as weights:
        graph = openvino_graph(network.name, network.kwargs, weights, patch)
        return core.compile_model(graph, "CPU", options)
