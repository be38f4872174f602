"""What every training stage does around its method: claim its run folder, and train on streams."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from LiverMRISegLib.data.batches import StepBatches, Stream, feed
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.folder_claim import claimed_folder
from LiverMRISegLib.io.leftovers import remove_leftovers
from LiverMRISegLib.training import checkpoints, loop
from LiverMRISegLib.training.configuration import MayChange, check_same_run, write_config
from LiverMRISegLib.training.loop import LoopConfig, Method, RunResult, TrainingError

_INPUTS = "inputs.txt"
_OF_A_DEATH = "DataLoader worker (pid"  # in torch's words; an error that a worker raised has others


@contextlib.contextmanager
def claimed_training(config: Any, folder: Path, fabric: Fabric) -> Iterator[None]:
    """`claimed_run` of a training: whether it is begun or done, its checkpoints tell."""
    step = checkpoints.newest_step(folder / "checkpoints")
    is_done = step is not None and step >= config.loop.steps
    free = MayChange.IN_ONE_TRAINING
    with claimed_run(config, folder, fabric, free, is_begun=step is not None, is_done=is_done):
        if fabric.is_global_zero:
            remove_leftovers(folder / "checkpoints")
        yield


@contextlib.contextmanager
def claimed_run(
    config: Any, folder: Path, fabric: Fabric, *free: MayChange, is_begun: bool, is_done: bool
) -> Iterator[None]:
    """Hold `folder` as the run folder of `config`; of several processes the first one does, for all.

    Args:
        config: kept in the folder's config.yaml.
        folder: made if it is missing.
        fabric: the processes of the run.
        free: keys so marked may differ from an earlier start, besides those that always may.
        is_begun: whether there is something to resume; else the folder may hold any config.
        is_done: whether nothing is left to train.

    Raises:
        UsageError: another run is writing there, or it holds another training.
        OutputError: it cannot be written.
    """
    with claimed_folder(folder) if fabric.is_global_zero else contextlib.nullcontext():
        path = folder / "config.yaml"
        if is_begun:
            check_same_run(config, path, {MayChange.ALWAYS, *free, *(() if is_done else (MayChange.UNTIL_THE_END,))})
        fabric.barrier()
        if fabric.is_global_zero:
            write_config(config, path)
        yield


def train_on(
    streams: Mapping[str, Stream],
    method: Method,
    config: LoopConfig,
    folder: Path,
    fabric: Fabric,
    workers: int,
    facts: Sequence[str] = (),
) -> RunResult:
    """Run `method` on batches of `streams` from the state of `folder`; errors as in `loop.train`.

    `workers` processes make the batches; -1 is none on a CPU, whose cores are busy with the training (measured:
    docs/benchmarks.md), and up to 8 beside a GPU. `facts`: what else a run depends on, by its content.

    Raises:
        UsageError: the run began with other data.
        TrainingError: a worker was killed, or as in `loop.train`.
    """
    inputs = [*facts, *(word for stream in streams.values() for word in stream.inputs)]
    check_inputs(
        folder / _INPUTS,
        hashlib.sha256("\n".join(inputs).encode()).hexdigest() + "\n",
        fabric,
        is_begun=checkpoints.newest_step(folder / "checkpoints") is not None,
        other=f"{folder}: contains a training on other data: images, labels or the start have changed since; choose "
        "another --run-folder or remove that folder",
    )
    batches = StepBatches(streams, config.steps, config.seed, fabric.global_rank, fabric.world_size)
    if workers < 0:
        workers = 0 if fabric.device.type == "cpu" else min(8, (os.cpu_count() or 1) // fabric.world_size)
    with _death_of_workers_told() if workers else contextlib.nullcontext():
        return loop.train(method, feed(batches, workers), config, folder, fabric)


@contextlib.contextmanager
def _death_of_workers_told() -> Iterator[None]:
    """That the system kills a worker ends the run in one line; torch tells of it wherever the training is just then."""
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and _OF_A_DEATH not in str(error):
            raise
        raise TrainingError(
            "a process that makes the batches was killed, by the system if memory ran out; set data.workers lower, and "
            "the same command resumes the run"
        ) from error


def check_inputs(path: Path, words: str, fabric: Fabric, *, is_begun: bool, other: str) -> None:
    """Keep in `path` what a run depends on; UsageError with the message `other` if it has begun with something else."""
    if is_begun and path.exists() and path.read_text(encoding="utf-8") != words:
        raise UsageError(other)
    fabric.barrier()
    if fabric.is_global_zero:
        atomic_write_text(path, words)
