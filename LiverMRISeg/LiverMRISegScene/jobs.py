"""A job: one volume, frame or file to segment. `JobQueue` runs them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegScene.over_time import OverTime
from LiverMRISegScene.results import Stamp, prepared, stamp_of
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.sequences import SequenceFrame
from LiverMRISegScene.volume_kind import kind_of

WAITING, RUNNING, DONE, FAILED, CANCELLED, EARLIER = "waiting", "running", "done", "failed", "cancelled", "done before"


@dataclass(eq=False)
class Job:
    """One volume to segment: a node of the scene (`node`), or a file (`source`) whose result goes to `output`.

    `series`: which DICOM series of the folder `source` is meant. `problem`: why the file must not be read.

    Or a `frame` of a sequence, whose result is collected by `over_time`. With `inside` only that box is segmented.
    Results of one `study`, each with a `case` name of its own, are compared; `disagreements` says what is odd.
    """

    name: str
    model: str
    device: str = "auto"
    organs: Sequence[str] | None = None
    node: Any = None
    source: Path | None = None
    output: Path | None = None
    series: str | None = None
    problem: str = ""
    frame: SequenceFrame | None = None
    over_time: OverTime | None = None
    inside: ChosenBox | None = None
    study: str | None = None
    case: str | None = None
    disagreements: Sequence[str] = ()
    state: str = WAITING
    message: str = ""
    fraction: float = 0.0
    result: SceneResult | None = None
    started: float = field(default=0.0, repr=False)
    stamp: Stamp | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """The name, with a number where another volume of the batch has the same."""
        return self.case or self.name

    @property
    def is_over(self) -> bool:
        """Whether it is finished, in whatever way."""
        return self.state not in (WAITING, RUNNING)

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the time so far; None at the beginning."""
        return estimated(self.started, self.fraction) if self.state == RUNNING else None


def estimated(started: float, fraction: float) -> float | None:
    """The seconds left of what began then and has done this much; None at the beginning."""
    passed = time.monotonic() - started
    return passed * (1 - fraction) / fraction if fraction >= 0.08 and passed >= 0.5 else None


def written(job: Job, folder: Path) -> tuple[Path, Path, str | None]:
    """The files of a job's volume or frame for the worker, and its modality."""
    if job.frame is not None and job.over_time is not None:
        return (*job.over_time.prepared(job.frame, folder), job.over_time.kind.modality)
    files = prepared(job.node, folder)
    job.stamp = stamp_of(job.node)
    return (*files, kind_of(job.node).modality)


def frame_jobs(over_time: OverTime, model: str, device: str, organs: Sequence[str] | None) -> list[Job]:
    """A job for every frame of a sequence."""
    return [Job(over_time.name, model, device, organs, frame=frame, over_time=over_time) for frame in over_time.frames]
