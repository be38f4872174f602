"""What a command costs by FLARE's rule: its running time, and the area under the GPU memory in use meanwhile.

The memory of the whole GPU is read every 0.1 s through NVML for the life of the process, its start included, and the
readings are summed (methods.md 11); FLARE's tables call this sum MB.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from LiverMRISegLib.errors import UsageError

logger = logging.getLogger(__name__)
INTERVAL_S = 0.1
_MB = 1024 * 1024


@dataclass(frozen=True)
class RunCost:
    """Seconds, sum of the memory readings and highest reading in MB (None without an NVIDIA GPU); `status` of exit."""

    seconds: float
    area_mb: float | None
    peak_mb: float | None
    status: int
    messages: str


def visible_gpu(index: int = 0) -> str:
    """What NVML and CUDA call GPU `index` of those that this process may use: a number in the bus's order, or a UUID.

    Empty where CUDA_VISIBLE_DEVICES hides all.

    Raises:
        UsageError: CUDA_VISIBLE_DEVICES names fewer.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return str(index)
    names = [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    if not names:
        return ""
    if index >= len(names):
        raise UsageError(f"gpu {index}: CUDA_VISIBLE_DEVICES is '{named}'")
    return names[index]


def gpu_memory_reader(gpu: str = "0") -> Callable[[], float] | None:
    """Reads the memory in use on `gpu` (`visible_gpu`), in MB, by everyone; None without NVIDIA driver or nvidia-ml-py.

    The caller's process keeps NVML until it ends.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        by_number = pynvml.nvmlDeviceGetHandleByIndex
        handle = by_number(int(gpu)) if gpu.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(gpu)
    except pynvml.NVMLError as error:
        logger.info("GPU memory is not measured (%s)", error)
        return None
    return lambda: float(pynvml.nvmlDeviceGetMemoryInfo(handle).used) / _MB


def measure_cost(
    command: Sequence[str], read_mb: Callable[[], float] | None, environment: Mapping[str, str] | None = None
) -> RunCost:
    """Run `command` to its end while `read_mb` is called every 0.1 s. Raises OSError if it cannot be started.

    `environment`: variables in addition to those of this process.
    """
    readings: list[float] = []
    over = threading.Event()
    poll = threading.Thread(target=_poll, args=(read_mb, readings, over), daemon=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
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
    return RunCost(seconds, area, peak, process.returncode, messages)


def _poll(read_mb: Callable[[], float] | None, readings: list[float], over: threading.Event) -> None:
    while read_mb is not None:
        try:
            readings.append(read_mb())
        except Exception as error:  # NVML's own kind, which is not known here: half a sum would pass for a whole one
            readings.clear()
            logger.warning("the GPU's memory cannot be read (%s): it is not measured", error)
            return
        if over.wait(INTERVAL_S):
            return
