"""Memory that a training step frees is kept for the next step, which then need not ask the system for it again."""

from __future__ import annotations

import ctypes
import logging
import sys

logger = logging.getLogger(__name__)
# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let the C library take large blocks from memory that this process already has (Linux with glibc; else nothing).

    By default it asks the system for every feature map anew and gives it back, and the system fills each page with
    zeros at first touch: a third of a training step of a small network on the CPU (docs/benchmarks.md). The process
    then holds its peak memory to its end, and that is higher.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not (mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1)):
        logger.info("freed memory goes back to the system: training on the CPU is slower")
