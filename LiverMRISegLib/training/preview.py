"""What a training will cost, before it starts: a few of its steps are timed on a few of its cases, and thrown away."""

from __future__ import annotations

import itertools
import logging
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from LiverMRISegLib.data.batches import StepBatches, Stream
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.devices import list_devices
from LiverMRISegLib.inference.tiling import tiles
from LiverMRISegLib.training.loop import LoopConfig, Method
from LiverMRISegLib.training.validation import NetworkEngine, Validation

logger = logging.getLogger(__name__)
_STEPS = 4  # the first one is not counted: caches and kernels are made then
_KEPT_CHECKPOINTS = 3  # the last two and the best; a fourth while it is written
_ALMOST_ALL = 0.9


@dataclass(frozen=True)
class Inferences:
    """Tiles of one validation while it trains, how many of these there are, and tiles of the whole one at the end."""

    tiles: int
    times: int
    at_the_end: int

    @property
    def total(self) -> int:
        """Over the whole training."""
        return self.tiles * self.times + self.at_the_end


@dataclass(frozen=True)
class Cost:
    """Of a whole training: steps, seconds a step and a tile, inferences, disk and memory in GB."""

    steps: int
    step_seconds: float
    inferences: Inferences
    tile_seconds: float
    disk_gb: float
    memory_gb: float

    @property
    def hours(self) -> float:
        """Of training and validation."""
        return (self.steps * self.step_seconds + self.inferences.total * self.tile_seconds) / 3600

    def __str__(self) -> str:
        return (
            f"{self.steps:,} steps of {self.step_seconds:.2f} s; {self.inferences.times} validations of "
            f"{self.inferences.tiles} tiles and {self.inferences.at_the_end} at the end, {self.tile_seconds:.2f} s "
            f"each; {self.hours:.1f} hours; disk {self.disk_gb:.1f} GB; memory {self.memory_gb:.1f} GB"
        )


def preview(
    method: Method,
    streams: Mapping[str, Stream],
    config: LoopConfig,
    fabric: Fabric,
    folder: Path,
    *,
    prepared_gb: float = 0.0,
    validation: Validation | None = None,
    images: int = 0,
) -> Cost:
    """Time a few steps, which change `method` and nothing else, and say what all of them will cost.

    Args:
        method: thrown away afterwards.
        streams: of a few cases.
        config: of the whole training.
        fabric: device, precision.
        folder: the run folder.
        prepared_gb: of all cases, prepared.
        validation: of a few images, for the shape of the rest; None if there is no whole volume to segment.
        images: how many the whole training validates on.

    Raises:
        UsageError: the memory of the device, or the free space of the disk, is too small.
    """
    seconds, memory = _timed_steps(method, streams, config, fabric)
    inferences, tile_seconds = Inferences(0, 0, 0), 0.0
    if validation is not None and validation.images:
        inferences = _inferences(validation, images, config)
        tile_seconds = _timed_tile(method, validation, fabric)
    checkpoint = _size_gb(method.state_dict()) * (_KEPT_CHECKPOINTS + 1)
    cost = Cost(config.steps, seconds, inferences, tile_seconds, prepared_gb + checkpoint, memory)
    logger.info("%s", cost)
    total = _total_gb(fabric)
    if total and memory > _ALMOST_ALL * total:
        raise UsageError(f"the training takes {memory:.1f} GB of memory, of {total:.1f} GB; {_REMEDY}")
    free = shutil.disk_usage(_existing(folder)).free / 1e9
    if cost.disk_gb > free:
        raise UsageError(f"{folder}: the training takes {cost.disk_gb:.1f} GB of disk, {free:.1f} GB are free")
    return cost


_REMEDY = "take a smaller data.patch, smaller batches or a smaller network"


def _timed_steps(
    method: Method, streams: Mapping[str, Stream], config: LoopConfig, fabric: Fabric
) -> tuple[float, float]:
    """Seconds of a step, its batch included, and the highest memory in GB."""
    batches = StepBatches(streams, _STEPS, config.seed, fabric.global_rank, fabric.world_size)
    taken = []
    try:
        for step in range(_STEPS):
            start = time.perf_counter()
            losses = method.losses(batches[step], step)
            for group in method.optimizer.param_groups:
                group["lr"] = config.learning_rate / 1000
            method.optimizer.zero_grad(set_to_none=True)
            fabric.backward(losses["loss"])
            method.optimizer.step()
            method.after_step(step + 1)
            if fabric.device.type == "cuda":
                torch.cuda.synchronize(fabric.device)
            taken.append(time.perf_counter() - start)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UsageError(f"a step does not fit into the memory of {fabric.device}; {_REMEDY}") from error
    return statistics.median(taken[1:]), _peak_gb(fabric)


def _peak_gb(fabric: Fabric) -> float:
    if fabric.device.type == "cuda":
        return torch.cuda.max_memory_allocated(fabric.device) / 1e9
    if sys.platform == "win32":  # tells only what is used now
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _total_gb(fabric: Fabric) -> float:
    if fabric.device.type == "cuda":
        return torch.cuda.get_device_properties(fabric.device).total_memory / 1e9
    return list_devices(())[-1].total_gb or 0.0


def _inferences(validation: Validation, images: int, config: LoopConfig) -> Inferences:
    """Tiles, where the images that are not at hand are like those that are."""
    patch, overlap = validation.inference.patch, validation.inference.overlap
    padded = ([max(n, p) for n, p in zip(case.image.shape, patch, strict=True)] for case in validation.images)
    whole = statistics.mean(len(tiles(shape, patch, overlap)) for shape in padded)
    scored = min(images, validation.cases) if validation.cases else images
    each = validation.patches if validation.patches and validation.images[0].foreground else whole
    is_bounded = scored < images or each < whole
    times = -(-config.steps // config.validate_every)
    return Inferences(round(scored * each), times, round(images * whole) if is_bounded else 0)


def _timed_tile(method: Method, validation: Validation, fabric: Fabric) -> float:
    network = next(iter(getattr(method, "branches", {"model": method.model}).values()))
    engine = NetworkEngine(network.eval(), fabric)
    tile = np.random.default_rng(0).normal(size=(1, 1, *validation.inference.patch)).astype(np.float32)
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        engine.predict(tile)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _size_gb(state: object) -> float:
    if torch.is_tensor(state):
        return state.numel() * state.element_size() / 1e9
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, (list, tuple)) else ()
    return sum(_size_gb(part) for part in parts)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in itertools.chain([folder], folder.absolute().parents) if path.exists())
