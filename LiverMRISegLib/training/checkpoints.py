"""Checkpoints of a run: written whole or not at all, the last two and the best kept, read without running code."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from LiverMRISegLib.errors import ModelError, OutputError
from LiverMRISegLib.io.atomic import atomic_path

logger = logging.getLogger(__name__)
_KEPT = 2
BEST = "best.pt"


def save(folder: Path, step: int, state: dict[str, Any], *, is_best: bool) -> Path:
    """Write `state` as the checkpoint of `step`; older ones than the last two are removed afterwards.

    Raises:
        OutputError: it cannot be written, e.g. because the disk is full; the older ones are kept.
    """
    path = folder / f"step_{step:08d}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_best:  # first: a run that resumes from the step before finds these best weights again
            with atomic_path(folder / BEST) as temporary:
                torch.save(state, temporary)
        with atomic_path(path) as temporary:
            shutil.copyfile(folder / BEST, temporary) if is_best else torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # torch's writer turns the system's errors into its own
        raise OutputError(
            f"{path}: cannot be written ({error}); free some space, then the same command resumes the run"
        ) from error
    for old in sorted(folder.glob("step_*.pt"))[:-_KEPT]:
        old.unlink()
    return path


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint, readable or not; None if there is none."""
    return max((int(path.stem.removeprefix("step_")) for path in folder.glob("step_*.pt")), default=None)


def warn_unfinished(folder: Path, steps: int) -> None:
    """Say so if the training whose checkpoints are in `folder` has not come to its last step."""
    newest = newest_step(folder)
    if newest is not None and newest < steps:
        logger.warning("%s: this training has come to step %d of %d; finish it first", folder.parent, newest, steps)


def load_newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, or None; a damaged one is passed over, with a warning."""
    for path in sorted(folder.glob("step_*.pt"), reverse=True):
        try:
            return load(path)
        except ModelError as error:
            logger.warning("%s; trying the one before", error)
    return None


def load(path: Path) -> dict[str, Any]:
    """Read one checkpoint (tensors and plain values only); ModelError if it is missing or damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    return state
