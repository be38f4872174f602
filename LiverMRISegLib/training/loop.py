"""The training loop, once for every method: steps, schedule, checkpoints, exact resume, logging, progress.

A run folder holds config.yaml, metrics.jsonl (a line per log or validation), TensorBoard events and
checkpoints/ (the last two, and the best by validation). Batches are a function of the step's number, so a run
that was killed and started again sees the same batches and, on the CPU, ends at the same weights bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from LiverMRISegLib.errors import LiverMRISegError, OutputError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Count, Limits, Seed
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import MayChange
from LiverMRISegLib.training.schedules import SCHEDULES

logger = logging.getLogger(__name__)
# Spoilt gradients need not be infinite: 1e18 was seen where 1 to 10 is usual. Clipping would hide them.
_ABSURD_NORM = 1e10
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class TrainingError(LiverMRISegError):
    """Training cannot go on; the run folder is intact."""


@dataclass(frozen=True)
class LoopConfig(Checked):
    """How long a training takes, how often it reports, and what it computes on; all counts are optimizer steps."""

    steps: Annotated[Count, MayChange.IN_ONE_TRAINING] = 3000
    """Steps of the whole training."""
    learning_rate: Annotated[float, Limits(above=0, most=10), MayChange.UNTIL_THE_END] = 1e-3
    """Highest learning rate."""
    warmup: Annotated[int, Limits(0, 1_000_000_000), MayChange.UNTIL_THE_END] = 100
    """Steps over which the learning rate rises from 0."""
    gradient_clip: Annotated[float, Limits(0, 1e9)] = 5.0
    """Largest norm of the gradients; 0 clips nothing."""
    log_every: Annotated[Count, MayChange.ALWAYS] = 20
    """Steps from one log line to the next."""
    validate_every: Annotated[Count, MayChange.ALWAYS] = 250
    """Steps from one validation to the next."""
    checkpoint_every: Annotated[Count, MayChange.ALWAYS] = 100
    """Steps from one checkpoint to the next."""
    precision: Annotated[Precision, MayChange.UNTIL_THE_END] = "bf16-mixed"
    """Numbers that are computed with. CPUs without AVX-512 compute with bfloat16 several times slower than with
    float32; where they have it, oneDNN spoils the gradients of feature maps of 2 voxels depth (seen with torch 2.13 and
    AMX), and the loop ends with an error when that happens."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "cuda", "mps"], MayChange.ALWAYS] = "auto"
    """What computes; auto takes a GPU if there is one."""
    devices: Annotated[int, Limits(1, 1024), MayChange.ALWAYS] = 1
    """How many of these compute together, each with its share of a batch."""
    seed: Seed = 0
    """Of all that is random."""
    schedule: Literal["polynomial", "constant then linear", "linear over the last tenth", "staircase"] = "polynomial"
    """How the learning rate falls: as (1 - step / steps) ** 0.9 (nnU-Net), over the second half alone (CycleGAN), over
    the last tenth (the public code of organ attention: 15 of 145 epochs), or to a tenth after 4,500 of 17,000 steps and
    every 2,500 (BCP)."""
    preview: Annotated[bool, MayChange.ALWAYS] = False
    """Whether only to say what the training will cost (steps, inferences, disk, memory, hours), by a few steps on a few
    cases that are timed and thrown away; an error if memory or disk will not do."""
    preview_cases: Annotated[int, Limits(0, 10_000_000), MayChange.ALWAYS] = 0
    """How many volumes the preview counts on disk, where the datalists have only some of them yet; 0 for those that
    they have. The workflows give it."""
    preview_labels: Annotated[int, Limits(0, 10_000_000), MayChange.ALWAYS] = 0
    """How many volumes the network labels after the training, whose inferences the preview counts. The workflows give
    it."""


class Method(Protocol):
    """What a training method supplies; the loop does the rest."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The named losses of a batch at step 0, 1, ...; "loss" is the one to minimise."""

    def after_step(self, step: int) -> None:
        """Called after optimizer step number 1, 2, ..., e.g. to update an averaged copy."""

    def validate(self, writer: SummaryWriter, step: int) -> dict[str, float]:
        """Scores on the validation split; "score" decides which checkpoint is the best. Empty if there is none."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the method needs to go on, tensors and plain values only."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


@dataclass(frozen=True)
class RunResult:
    """Where a run ended: its folder, the step reached and the best validation score; of a preview the `hours` to be
    expected.
    """

    folder: Path
    step: int
    best_score: float
    hours: float = 0.0


def train(
    method: Method, batches: Callable[[int], Iterator[Any]], config: LoopConfig, folder: Path, fabric: Fabric
) -> RunResult:
    """Run `method` from the state of `folder` to `config.steps`.

    Args:
        method: model, optimizer and losses.
        batches: `batches(step)` iterates over the batches from that step on.
        config: length, schedule, logging.
        folder: the run folder; the run is resumed from its newest checkpoint, if there is one.
        fabric: device, precision, processes.

    Raises:
        TrainingError: the loss is not finite.
    """
    run = _Run(method, config, folder, fabric)
    run.resume()
    progress = tqdm(
        total=config.steps,
        initial=run.step,
        unit="step",
        dynamic_ncols=True,
        smoothing=0.1,
        disable=not fabric.is_global_zero,
    )
    with progress, run.writing():
        for batch in batches(run.step):
            if run.step >= config.steps:
                break
            losses = _step(method, batch, config, fabric, run.step)
            run.step += 1
            method.after_step(run.step)
            progress.update()
            run.after_step(losses, progress)
    return RunResult(folder, run.step, run.best)


def _step(method: Method, batch: Any, config: LoopConfig, fabric: Fabric, step: int) -> dict[str, torch.Tensor]:
    losses = method.losses(batch, step)
    total = losses["loss"]
    if not torch.isfinite(total):
        raise TrainingError(
            f"the loss is {total.item()} at step {step}; lower loop.learning_rate or look at the batch. "
            "The last checkpoint is kept: the same command, with that change, resumes the run"
        )
    for group in method.optimizer.param_groups:
        group["lr"] = _rate(step, config)
    method.optimizer.zero_grad(set_to_none=True)
    fabric.backward(total)
    limit = config.gradient_clip or math.inf
    norm = fabric.clip_gradients(method.model, method.optimizer, max_norm=limit, error_if_nonfinite=False)
    # float16's scaler meets infinite gradients by design and skips such a step; elsewhere they are an error.
    if config.precision != "16-mixed" and norm is not None and not norm < _ABSURD_NORM:
        raise TrainingError(
            f"the gradients have norm {float(norm):g} at step {step}. On CPUs bfloat16 spoils those of feature maps "
            "that are 2 voxels deep: take a larger patch, smaller strides or loop.precision 32-true. "
            "The last checkpoint is kept; loop.precision may change when a run is resumed"
        )
    method.optimizer.step()
    return losses


def _rate(step: int, config: LoopConfig) -> float:
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    return float(config.learning_rate * warm * SCHEDULES[config.schedule](step, config.steps))


class _Run:
    """The state of a run beside the method's own: step, best score, and what is written when."""

    def __init__(self, method: Method, config: LoopConfig, folder: Path, fabric: Fabric) -> None:
        self.method, self.config, self.folder, self.fabric = method, config, folder, fabric
        self.step, self.best = 0, -math.inf
        self._writer: SummaryWriter | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """TensorBoard's file is open within; the first process alone writes."""
        if not self.fabric.is_global_zero:
            yield
            return
        # What is written of later steps is hidden: it comes again. The step itself does not.
        purge = self.step + 1 if self.step else 0
        with SummaryWriter(str(self.folder / "tensorboard"), purge_step=purge) as self._writer:
            yield

    def resume(self) -> None:
        """Resume from the newest checkpoint, if there is one."""
        state = checkpoints.load_newest(self.folder / "checkpoints")
        if state is not None:
            self.step, self.best = state["step"], state["best"]
            self.method.load_state_dict(state["method"])
            if state["precision"]:  # float16's scaler has a state, the other precisions have none
                self.fabric.strategy.precision.load_state_dict(state["precision"])
            torch.set_rng_state(state["rng"])
            logger.info("resuming from step %d in %s", self.step, self.folder)
        if self.fabric.is_global_zero:
            _truncate_metrics(self.folder / "metrics.jsonl", self.step)

    def state(self) -> dict[str, Any]:
        """All of a checkpoint."""
        return {
            "step": self.step,
            "best": self.best,
            "method": self.method.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "rng": torch.get_rng_state(),
        }

    def after_step(self, losses: dict[str, torch.Tensor], progress: Any) -> None:
        """Log, validate and save where the step's number asks for it."""
        config, last = self.config, self.step == self.config.steps
        if self.step % config.log_every == 0 or last:
            values = {name: self._mean(value) for name, value in losses.items()}
            self._log(values | {"learning_rate": self.method.optimizer.param_groups[0]["lr"]})
            progress.set_postfix({name: f"{value:.3f}" for name, value in values.items()})
        # Other processes than the first wait at their next step's exchange of gradients.
        if self._writer is not None:
            is_best = (self.step % config.validate_every == 0 or last) and self._validate(self._writer)
            if is_best or self.step % config.checkpoint_every == 0 or last:
                checkpoints.save(self.folder / "checkpoints", self.step, self.state(), is_best=is_best)
        if last:
            self.fabric.barrier()

    def _mean(self, value: torch.Tensor) -> float:
        """Over all processes."""
        mean = self.fabric.all_reduce(value.detach().float())
        return float(mean)  # type: ignore[arg-type]

    def _validate(self, writer: SummaryWriter) -> bool:
        """Whether this step is the best so far."""
        scores = self.method.validate(writer, self.step)
        self._log({f"validation/{name}": value for name, value in scores.items()})
        score = scores.get("score", -math.inf)
        is_best = score > self.best
        self.best = max(self.best, score)
        return is_best

    def _log(self, values: dict[str, float]) -> None:
        if not values or self._writer is None:
            return
        path = self.folder / "metrics.jsonl"
        try:
            for name, value in values.items():
                self._writer.add_scalar(name, value, self.step)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written ({error.strerror}); free some space, then the same command resumes the run"
            ) from error


def _truncate_metrics(path: Path, step: int) -> None:
    """Drop the lines of steps that will be done again, and a half-written last one."""
    from LiverMRISegLib.io.atomic import atomic_write_text

    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            continue
    atomic_write_text(path, "".join(kept))
