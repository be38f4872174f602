"""STU-Nets and nnU-Net's U-Nets by OpenVINO on CPUs: no torch needed, and faster than torch there."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from LiverMRISegLib.inference.engines.quiet_openvino import the_core
from LiverMRISegLib.models.package import ModelPackage
from LiverMRISegLib.networks.nnunet_openvino import nnunet_graph
from LiverMRISegLib.networks.sizes import NNUNETS
from LiverMRISegLib.networks.stunet_openvino import openvino_graph

logger = logging.getLogger(__name__)
_NAMES = {"auto": "f32", "float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """A package's network compiled for this CPU and the patch of the package.

    `precision` "auto" is float32: the same labels on every CPU. "bfloat16" is some three times faster on CPUs that
    compute with it, at a Dice of about 0.998 against float32 (Testing/benchmarks/RESULTS.md); others stay at float32.
    """

    def __init__(self, package: ModelPackage, precision: str = "auto") -> None:
        spec = package.spec
        network, patch = spec.network, spec.inference.patch
        make = nnunet_graph if network.name in NNUNETS else openvino_graph
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _NAMES[precision]}
        core = the_core()
        # Each member's weights and graph are gone before the next is read: a compiled model has its own.
        compiled = [
            core.compile_model(make(network.name, network.kwargs, package.member(m), patch, batch=1), "CPU", options)
            for m in range(network.members)
        ]
        self._requests = [model.create_infer_request() for model in compiled]
        chosen = compiled[0].get_property("INFERENCE_PRECISION_HINT").to_string()
        self.device, self.batch = "cpu", 1
        self.name = f"openvino cpu {chosen}"

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine.predict`; the graph takes one patch at a time."""
        found = [self._mean(np.ascontiguousarray(image[None], np.float32)) for image in batch]
        return found[0][None] if len(found) == 1 else np.stack(found)

    def _mean(self, image: np.ndarray) -> np.ndarray:
        """The members' mean logits [C, Z, Y, X] of one image [1, C, Z, Y, X]."""
        logits = [self._logits(request, image) for request in self._requests]
        return logits[0] if len(logits) == 1 else np.mean(logits, axis=0)

    @staticmethod
    def _logits(request: Any, image: np.ndarray) -> np.ndarray:
        request.infer([image])
        found: np.ndarray = request.get_output_tensor(0).data[0].copy()
        return found
