"""Segmentations one after another, without blocking: a click on Segment and a batch are both jobs.

The worker is injected: `QtWorker` in the application. Everything here runs in the main thread, called by the worker's
events, so the scene is only touched between two events of the application.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.errors import CancelledError, InputError, LiverMRISegError
from LiverMRISegLib.inference.worker.protocol import (
    DoneEvent,
    Event,
    ProgressEvent,
    Request,
    Worker,
    segment_request,
)
from LiverMRISegLib.inference.worker.tasks import study_request
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.jobs import CANCELLED, DONE, FAILED, RUNNING, WAITING, Job, estimated, written
from LiverMRISegScene.model_choice import check_takes_one_image
from LiverMRISegScene.results import accepted, reason_in_slicer, request_folder, result_of, told
from LiverMRISegScene.volume_kind import frame_of_reference


class JobQueue:
    """Runs jobs in order; a failed job does not stop the others.

    Args:
        scene: the vtkMRMLScene that the results go to.
        worker: the process that segments.
        changed: called with a job whenever something about it has changed.
        finished: called once with all jobs of a run when the last one is over.
    """

    def __init__(
        self,
        scene: Any,
        worker: Worker,
        changed: Callable[[Job], None],
        finished: Callable[[Sequence[Job]], None],
    ) -> None:
        self._scene, self._worker = scene, worker
        self._changed, self._finished = changed, finished
        self._jobs: list[Job] = []
        self._started = 0.0
        self._current: Job | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._done: Callable[[Mapping[str, Any]], None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way, or a task."""
        return bool(self._jobs) or self._done is not None

    @property
    def fraction(self) -> float:
        """How much of the run under way is done, 0 to 1."""
        done = [1.0 if job.is_over else job.fraction for job in self._jobs]
        return sum(done) / len(done) if done else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Of the run under way: see `Job.seconds_left`."""
        return estimated(self._started, self.fraction) if self.is_busy else None

    @property
    def needs_scene(self) -> bool:
        """Whether what is under way is about the scene; a batch of files is not."""
        return self._done is not None or any(job.source is None for job in self._jobs)

    @property
    def models(self) -> set[str]:
        """The models that the run under way still needs."""
        return {job.model for job in self._jobs if not job.is_over}

    def holds(self, job: Job | None) -> bool:
        """Whether a job belongs to the run that is under way."""
        return job in self._jobs

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin a run. Raises LiverMRISegError if one is under way."""
        if self.is_busy:
            raise LiverMRISegError(_("a segmentation is already running; wait for it to finish or cancel it"))
        self._jobs, self._started = list(jobs), time.monotonic()
        self._next()

    def ask(
        self,
        make: Callable[[Path], Request],
        done: Callable[[Mapping[str, Any]], None],
        failed: Callable[[str], None],
    ) -> None:
        """Let the worker do something else than segment; one of `done` and `failed` is called.

        Args:
            make: makes the request (see `worker.tasks`); may write files for it into the folder that it gets.
            done: gets the reply.
            failed: gets the reason.
        """
        if self.is_busy:
            failed(_("a segmentation is already running; wait for it to finish or cancel it"))
            return
        self._done = done
        try:
            self._folder = request_folder()
            self._worker.ask(make(Path(self._folder.name)), lambda event: self._answered(done, failed, event))
        except Exception as error:
            self._done = None
            self._clean()
            failed(reason_in_slicer(error))

    def cancel(self) -> None:
        """Cancel the running job and drop the waiting ones; `finished` is called when it has ended."""
        for job in self._jobs:
            if job.state == WAITING:
                self._end(job, CANCELLED, _("cancelled before it started"))
        if self._current is not None:
            self._current.message = _("cancelling")
            self._changed(self._current)
            self._worker.cancel()

    def abandon(self) -> None:
        """The scene closes or the application exits: end the process and do not touch the scene any more.

        A process that works for somebody else, the console or another panel, is left alone.
        """
        is_own = self.is_busy
        self._jobs, self._current, self._done = [], None, None
        if is_own or not self._worker.is_busy:
            self._worker.close()
        self._clean()

    def _next(self) -> None:
        waiting = [job for job in self._jobs if job.state == WAITING]
        if not waiting:
            self._compare(list(dict.fromkeys(job.study for job in self._jobs if job.study and job.state == DONE)))
            return
        job = self._current = waiting[0]
        job.state, job.started = RUNNING, time.monotonic()
        job.message, job.fraction = _("preparing the volume"), 0.0
        self._changed(job)
        try:
            self._worker.ask(self._request(job), lambda event: self._happened(job, event))
        except Exception as error:  # whatever it is, the run goes on
            self._over(job, FAILED, reason_in_slicer(error))

    def _compare(self, studies: list[str]) -> None:
        """Ask where the results of each study disagree; then the run is over."""
        if not studies:
            jobs, self._jobs = self._jobs, []
            self._finished(jobs)
            return
        try:
            self._worker.ask(study_request(studies[0]), lambda event: self._compared(studies, event))
        except (LiverMRISegError, OSError):
            self._compare([])

    def _compared(self, studies: list[str], event: Event) -> None:
        if isinstance(event, ProgressEvent) or not self._jobs:
            return
        found = event.reply["disagreements"] if isinstance(event, DoneEvent) else {}
        for job in self._jobs:
            if job.study == studies[0] and job.state == DONE:
                job.disagreements = found.get(job.case, ())
        self._compare(studies[1:])

    def _answered(self, done: Callable[[Mapping[str, Any]], None], failed: Callable[[str], None], event: Event) -> None:
        if isinstance(event, ProgressEvent) or self._done is not done:
            return
        self._done = None
        self._clean()
        if isinstance(event, DoneEvent):
            done(event.reply)
        else:
            failed(str(event.error))

    def _request(self, job: Job) -> Request:
        if job.problem:
            raise InputError(job.problem)
        if job.source is not None and job.output is not None:
            source, target, modality = job.source, job.output, None
        else:
            check_takes_one_image(job.model)
            self._folder = request_folder()
            source, target, modality = written(job, Path(self._folder.name))
        return segment_request(
            source, target, model=job.model, device=job.device, organs=job.organs, modality=modality,
            series=job.series, inside=job.inside, study=job.study, case=job.case,
            frame_of_reference=frame_of_reference(job.node) if job.study and job.node is not None else None,
        )  # fmt: skip

    def _happened(self, job: Job, event: Event) -> None:
        if job is not self._current:
            return  # it belongs to an abandoned job
        if isinstance(event, ProgressEvent):
            job.message, job.fraction = event.text, event.fraction
            self._changed(job)
        elif isinstance(event, DoneEvent):
            self._accept(job, event.reply)
        else:
            state = CANCELLED if isinstance(event.error, CancelledError) else FAILED
            why = reason_in_slicer(event.error)
            self._over(job, state, told(why, Path(self._folder.name), job.name) if self._folder is not None else why)

    def _accept(self, job: Job, reply: Mapping[str, Any]) -> None:
        try:
            if job.source is not None:
                job.result = result_of(job.name, None, reply)
            elif job.frame is not None and job.over_time is not None and self._folder is not None:
                job.result = job.over_time.accept(job.frame, Path(self._folder.name), reply)
            elif self._folder is not None and job.stamp is not None:
                job.result = accepted(self._scene, job.node, Path(self._folder.name), reply, job.stamp)
        except Exception as error:
            self._over(job, FAILED, reason_in_slicer(error))
            return
        job.fraction = 1.0
        self._over(job, DONE, f"{time.monotonic() - job.started:.1f} s")

    def _over(self, job: Job, state: str, message: str) -> None:
        self._current = None
        if state == FAILED and job.frame is not None and job.over_time is not None:
            job.over_time.fail(job.frame, message)
        self._clean()
        self._end(job, state, message)
        self._next()

    def _end(self, job: Job, state: str, message: str) -> None:
        job.state, job.message = state, message
        self._changed(job)

    def _clean(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
