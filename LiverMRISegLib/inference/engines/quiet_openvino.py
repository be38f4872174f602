"""OpenVINO without its telemetry: on import it would report its use over the network, from a process it forks."""

from __future__ import annotations

import sys
from typing import Any


def import_openvino() -> Any:
    """The module `openvino`. Its converter falls back to a silent stub where the telemetry package is not found."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
