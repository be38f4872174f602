"""OpenVINO as this library uses it: without its telemetry, and one core per process."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any


def import_openvino() -> Any:
    """The module `openvino`. On import it would report its use over the network, from a process it forks; its converter
    falls back to a silent stub where the telemetry package is not found.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


_ONE_AT_A_TIME = threading.Lock()


def the_core() -> Any:
    """The process's one `openvino.Core`, kept to its end.

    The CPU plugin of a core gives its thread a stack for signal handlers, and at its end takes back the one it found
    before. Of two cores the first to go unmaps the stack that the second then returns to, and the next signal that
    Python handles (Ctrl-C, a child's end) finds no stack and ends the process (seen with OpenVINO 2026.4).
    """
    with _ONE_AT_A_TIME:
        return _core()


@functools.cache
def _core() -> Any:
    return import_openvino().Core()
