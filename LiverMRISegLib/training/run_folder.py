"""What every training stage does around its method: claim the run folder, and train on streams."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from LiverMRISegLib.data.batches import StepBatches, Stream, feed
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.training import checkpoints, loop
from LiverMRISegLib.training.configuration import check_same_run, write_config
from LiverMRISegLib.training.loop import LoopConfig, Method, RunResult

# What may differ when a run is gone on with: places, devices, how often something is written, and how long it gets.
_FREE_KEYS = ("run_folder", "loop.steps", "loop.log_every", "loop.validate_every", "loop.checkpoint_every",
              "loop.accelerator", "loop.devices")  # fmt: skip
# What an error of the loop advises to change; of a finished run it would change nothing but what the config says.
_FREE_UNTIL_THE_END = ("loop.learning_rate", "loop.precision")
_INPUTS = "inputs.txt"


def claim_run_folder(config: Any, folder: Path, fabric: Fabric, free: Sequence[str] = ()) -> None:
    """Make `folder` the run folder of `config`, whose other keys named in `free` may differ from an earlier start.

    Raises:
        UsageError: it holds another training.
        OutputError: it cannot be written.
    """
    path = folder / "config.yaml"
    step = checkpoints.newest_step(folder / "checkpoints")
    if step is not None:  # else there is nothing to go on with
        until_the_end = _FREE_UNTIL_THE_END if step < config.loop.steps else ()
        check_same_run(config, path, (*_FREE_KEYS, *until_the_end, *free))
    fabric.barrier()
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        write_config(config, path)


def train_on(
    streams: Mapping[str, Stream],
    method: Method,
    config: LoopConfig,
    folder: Path,
    fabric: Fabric,
    workers: int,
    facts: Sequence[str] = (),
) -> RunResult:
    """Run `method` on batches of `streams` from where `folder` stands; errors as `loop.train`.

    `workers` processes make the batches; -1 is none on a CPU, whose cores are busy with the training (measured:
    docs/benchmarks.md), and up to 8 beside a GPU. `facts`: what else a run depends on, by its content.

    Raises:
        UsageError: the run began with other data.
    """
    _claim_inputs(folder, [*facts, *(word for stream in streams.values() for word in stream.inputs)], fabric)
    batches = StepBatches(streams, config.steps, config.seed, fabric.global_rank, fabric.world_size)
    if workers < 0:
        workers = 0 if fabric.device.type == "cpu" else min(8, (os.cpu_count() or 1) // fabric.world_size)
    return loop.train(method, feed(batches, workers), config, folder, fabric)


def _claim_inputs(folder: Path, inputs: Sequence[str], fabric: Fabric) -> None:
    """Keep the hash of all `inputs`: files under the same names may have become others."""
    words = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
    path = folder / _INPUTS
    is_begun = checkpoints.newest_step(folder / "checkpoints") is not None and path.exists()
    if is_begun and path.read_text(encoding="utf-8").strip() != words:
        raise UsageError(
            f"{folder}: holds a training on other data: images, labels or the start were changed since; choose another "
            "--run-folder or remove that folder"
        )
    fabric.barrier()
    if fabric.is_global_zero:
        atomic_write_text(path, f"{words}\n")
