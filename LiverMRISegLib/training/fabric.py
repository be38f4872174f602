"""What a training computes on: device, precision and processes, and the memory that its steps use again."""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import sys
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.loop import LoopConfig

logger = logging.getLogger(__name__)
_PATIENCE = timedelta(hours=6)
# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def make_fabric(config: LoopConfig) -> Fabric:
    """Lightning Fabric as the config says, launched; under torchrun over all processes that it started.

    Raises:
        UsageError: this machine does not have what the config asks for.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", config.devices))
    nodes = int(os.environ.get("WORLD_SIZE", here)) // here
    # Heads of deep supervision that a method does not use get no gradient.
    # The others wait while the first process prepares a cohort or labels it.
    strategy = DDPStrategy(find_unused_parameters=True, timeout=_PATIENCE) if here * nodes > 1 else "auto"
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            strategy=strategy,
            devices=here,
            num_nodes=nodes,
            precision=config.precision,
        )
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise UsageError(
            f"loop.accelerator {config.accelerator}, loop.devices {here}: cannot be used here "
            f"({' '.join(str(error).split())}); set loop.accelerator auto or cpu"
        ) from error
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_leave_group)
    if fabric.device.type == "cpu":
        keep_freed_memory()
    if fabric.device.type == "cpu" and config.precision.startswith("bf16") and not has_bfloat16():
        logger.warning(
            "this CPU has no instructions for bfloat16 and computes it several times slower than float32: "
            "set loop.precision 32-true, which may change when a run is resumed"
        )
    return fabric


def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16."""
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return asked is not None and bool(asked())


def _leave_group() -> None:
    """End the threads of distributed training: one that outlives the interpreter may abort the process at its exit."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


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
