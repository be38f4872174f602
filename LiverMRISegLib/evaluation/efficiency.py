"""What a command costs by FLARE's rule: its running time, and the area under the GPU memory in use meanwhile.

The memory of the whole GPU is read every 0.1 s through NVML for the life of the process, its start included, and the
readings are summed (methods.md 11); FLARE's tables call this sum MB.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)
INTERVAL_S = 0.1
_MB = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """Seconds, sum of the memory readings and highest reading in MB (None without an NVIDIA GPU); `status` of exit."""

    seconds: float
    area_mb: float | None
    peak_mb: float | None
    status: int
    messages: str


def gpu_memory_reader(index: int = 0) -> Callable[[], float] | None:
    """Reads the memory in use on GPU `index`, in MB, by everyone; None where there is no NVIDIA driver or nvidia-ml-py.

    The caller's process holds NVML until it ends.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        logger.info("no GPU memory is measured (%s)", error)
        return None
    return lambda: float(pynvml.nvmlDeviceGetMemoryInfo(handle).used) / _MB


def measure(command: Sequence[str], read_mb: Callable[[], float] | None) -> Cost:
    """Run `command` to its end while `read_mb` is called every 0.1 s. Raises OSError if it cannot be started."""
    readings: list[float] = []
    over = threading.Event()
    poll = threading.Thread(target=_poll, args=(read_mb, readings, over), daemon=True)
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    poll.start()
    try:
        messages = process.communicate()[1]
    finally:
        if process.poll() is None:  # interrupted: the command must not go on alone
            process.kill()
            process.wait()
        over.set()
        poll.join()
    seconds = time.perf_counter() - started
    known = read_mb is not None and readings
    area, peak = (sum(readings), max(readings)) if known else (None, None)
    return Cost(seconds, area, peak, process.returncode, messages)


def _poll(read_mb: Callable[[], float] | None, readings: list[float], over: threading.Event) -> None:
    while read_mb is not None:
        readings.append(read_mb())
        if over.wait(INTERVAL_S):
            return
