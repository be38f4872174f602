"""STU-Nets by OpenVINO on CPUs: no torch needed, and faster than torch there."""

from __future__ import annotations

import logging

import numpy as np

from LiverMRISegLib.inference.engines.quiet_openvino import import_openvino
from LiverMRISegLib.models.package import ModelPackage
from LiverMRISegLib.networks.stunet_openvino import openvino_graph

logger = logging.getLogger(__name__)
_NAMES = {"auto": "f32", "float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """A package's network compiled for this CPU and the patch of the package.

    `precision` "auto" is float32: the same labels on every CPU. "bfloat16" is some three times faster on CPUs that
    compute with it, at a Dice of about 0.998 against float32 (Testing/benchmarks/RESULTS.md); others stay at float32.
    """

    def __init__(self, package: ModelPackage, precision: str = "auto") -> None:
        ov = import_openvino()

        spec = package.spec
        graph = openvino_graph(spec.network.name, spec.network.kwargs, package.weights, spec.inference.patch, batch=1)
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _NAMES[precision]}
        compiled = ov.Core().compile_model(graph, "CPU", options)
        self._request = compiled.create_infer_request()
        chosen = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.device, self.batch = "cpu", 1
        self.name = f"openvino cpu {chosen}"

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine.predict`; the graph takes one patch at a time."""
        results = []
        for image in batch:
            self._request.infer([np.ascontiguousarray(image[None], np.float32)])
            results.append(self._request.get_output_tensor(0).data[0].copy())
        return np.stack(results)
