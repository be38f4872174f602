"""What a training will cost, before it starts: a few of its steps are timed on a few of its cases, and thrown away."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from LiverMRISegLib.data.batches import StepBatches, Stream
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.tiling import tiles
from LiverMRISegLib.training.loop import LoopConfig, Method
from LiverMRISegLib.training.room import check_room, peak_memory_gb, size_in_words, total_memory_gb
from LiverMRISegLib.training.validation import NetworkEngine, Validation

logger = logging.getLogger(__name__)
_STEPS = 4  # the first one is not counted: caches and kernels are made then
_KEPT_CHECKPOINTS = 3  # the last two and the best; a fourth while it is written


@dataclass(frozen=True)
class Inferences:
    """Tiles of one validation while it trains, how many of these there are, tiles of the whole one at the end, and of
    the volumes that the network labels after the training."""

    tiles: int
    times: int
    at_the_end: int
    labels: int = 0

    @property
    def total(self) -> int:
        """Over the whole training, and the labels."""
        return self.tiles * self.times + self.at_the_end + self.labels

    def __str__(self) -> str:
        labels = f", {self.labels} for the labels" if self.labels else ""
        return f"{self.times} validations of {self.tiles} tiles and {self.at_the_end} at the end{labels}"


@dataclass(frozen=True)
class TrainingCost:
    """Of a whole training: steps, seconds a step and a tile, inferences, disk and memory in GB."""

    steps: int
    step_seconds: float
    inferences: Inferences
    tile_seconds: float
    disk_gb: float
    memory_gb: float

    @property
    def hours(self) -> float:
        """Of training, validation and labels."""
        return (self.steps * self.step_seconds + self.inferences.total * self.tile_seconds) / 3600

    def __str__(self) -> str:
        return (
            f"{self.steps:,} steps of {self.step_seconds:.2f} s; {self.inferences}, {self.tile_seconds:.2f} s each; "
            f"{self.hours:.1f} hours; disk {size_in_words(self.disk_gb)}; memory {size_in_words(self.memory_gb)}"
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
    shapes: Sequence[tuple[int, ...]] = (),
) -> TrainingCost:
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
        shapes: of some prepared volumes, for the size of those that are labelled (`config.preview_labels`).

    Raises:
        UsageError: the memory of the device, or the free space of the disk, is too small.
    """
    seconds, memory = _timed_steps(method, streams, config, fabric)
    inferences, tile_seconds = Inferences(0, 0, 0), 0.0
    if validation is not None and (validation.images or config.preview_labels):
        inferences = _inferences(validation, images, config, shapes)
        tile_seconds = _timed_tile(method, validation, fabric)
    checkpoint = _size_gb(method.state_dict()) * (_KEPT_CHECKPOINTS + 1)
    cost = TrainingCost(config.steps, seconds, inferences, tile_seconds, prepared_gb + checkpoint, memory)
    logger.info("%s", cost)
    check_room("the training", memory, _total_gb(fabric), cost.disk_gb, folder, _REMEDY)
    return cost


_REMEDY = "take a smaller data.patch, smaller batches or a smaller network"


def _timed_steps(
    method: Method, streams: Mapping[str, Stream], config: LoopConfig, fabric: Fabric
) -> tuple[float, float]:
    """Seconds of a step, its batch included, and the highest memory in GB.

    Of the last steps: a method that begins with labels alone (BCP) asks for more later.
    """
    batches = StepBatches(streams, _STEPS, config.seed, fabric.global_rank, fabric.world_size)
    first = max(0, config.steps - _STEPS)
    taken = []
    try:
        for number in range(_STEPS):
            start, step = time.perf_counter(), first + number
            losses = method.losses(batches[number], step)
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
    return peak_memory_gb()


def _total_gb(fabric: Fabric) -> float:
    if fabric.device.type == "cuda":
        return torch.cuda.get_device_properties(fabric.device).total_memory / 1e9
    return total_memory_gb()


def _inferences(
    validation: Validation, images: int, config: LoopConfig, shapes: Sequence[tuple[int, ...]] = ()
) -> Inferences:
    """Tiles, where the images that are not at hand are like those that are."""
    held_out = [case.image.shape for case in validation.images]
    labels = round(config.preview_labels * _tiles_of_one(shapes or held_out, validation))
    if not held_out:
        return Inferences(0, 0, 0, labels)
    whole = _tiles_of_one(held_out, validation)
    scored = min(images, validation.cases) if validation.cases else images
    each = validation.patches if validation.patches and validation.images[0].foreground else whole
    is_bounded = scored < images or each < whole
    times = -(-config.steps // config.validate_every)
    return Inferences(round(scored * each), times, round(images * whole) if is_bounded else 0, labels)


def _tiles_of_one(shapes: Sequence[tuple[int, ...]], validation: Validation) -> float:
    """The mean over these shapes."""
    patch, overlap = validation.inference.patch, validation.inference.overlap
    padded = ([max(n, p) for n, p in zip(shape, patch, strict=True)] for shape in shapes)
    return statistics.mean(len(tiles(shape, patch, overlap)) for shape in padded)


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
