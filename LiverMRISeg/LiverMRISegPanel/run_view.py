"""The button Segment: progress with the time left, cancel, and the result. A sequence is segmented frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegPanel.accepting import Accepting
from LiverMRISegPanel.log_view import LogView
from LiverMRISegPanel.model_picker import ModelPicker
from LiverMRISegPanel.result_table import ResultTable
from LiverMRISegPanel.words import breakable, hints, time_left
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.job_queue import JobQueue
from LiverMRISegScene.jobs import CANCELLED, DONE, FAILED, Job, frame_jobs
from LiverMRISegScene.over_time import OverTime
from LiverMRISegScene.roi import chosen_box
from LiverMRISegScene.segment_editor import open_segment_editor, source_volume
from LiverMRISegScene.sequences import is_sequence, volume_shown


class RunView:
    """The Segment button and what belongs to it.

    Args:
        ui: the panel's widgets.
        queue: runs the jobs.
        picker: gives model, organs and device.
        table: shows the result.
        log: records what happens.
        why_not: asks the user what must be asked before these models may run; returns "" if they may, else the reason.
    """

    def __init__(
        self,
        ui: Any,
        queue: JobQueue,
        picker: ModelPicker,
        table: ResultTable,
        log: LogView,
        why_not: Callable[[Sequence[str]], str],
    ) -> None:
        self.ui, self._queue, self._picker = ui, queue, picker
        self._table, self._log, self._why_not = table, log, why_not
        self.accepting = Accepting(ui, table, self.update)
        self._jobs: list[Job] = []
        self._hint = ""
        ui.segmentButton.connect("clicked(bool)", self._clicked)
        ui.againButton.connect("clicked(bool)", self._again)
        ui.editButton.connect("clicked(bool)", self._edit)
        self.reset()

    def reset(self) -> None:
        """Return to the empty state."""
        self.accepting.reset()
        self._jobs = []
        self._hint = ""
        self._table.forget()
        self.update()

    def update(self) -> None:
        """Update the state and the text of the button."""
        busy, own = self._queue.is_busy, self._is_running
        why_not = self._missing()
        self.ui.segmentButton.setText(_("Cancel") if own else _("Segment"))
        waits = busy or self.accepting.is_asking
        self.ui.segmentButton.setEnabled(own or not (waits or why_not))
        self.ui.againButton.setEnabled(self._table.node is not None and not waits)
        self.ui.progressBar.setVisible(busy)
        is_free = not self.accepting.is_asking and not is_sequence(self.ui.inputSelector.currentNode())
        self.ui.outputSelector.setEnabled(is_free)
        is_said, self._hint = why_not == self._hint, why_not  # once: what is said later, of a batch, stays
        is_hint = self.ui.statusLabel.text in hints().values()
        # How a run has ended comes before what must be chosen since it began.
        if not (busy or is_said) and (why_not or is_hint):
            self.ui.statusLabel.setText(why_not or _("Ready."))

    def changed(self, job: Job) -> None:
        """Show the progress of the run."""
        self.ui.progressBar.setValue(round(100 * self._queue.fraction))
        left = time_left(self._queue.seconds_left)
        text = job.message
        if job.frame is not None:
            text = _("frame {number} of {count}: {text}").format(
                number=job.frame.number, count=len(self._jobs), text=job.message
            )
        self.ui.statusLabel.setText(text + (f", {left}" if left else ""))

    def finished(self, jobs: Sequence[Job]) -> None:
        """Show the result of a run started by a click."""
        job = jobs[0]
        if job.over_time is not None:
            self._show_over_time(jobs, job.over_time)
        elif job.state == DONE and job.result is not None:
            self._show(job)
        elif job.state == CANCELLED:
            self.ui.statusLabel.setText(_("Cancelled. Nothing was changed."))
        else:
            self._failed(job.message)
        self.update()

    @property
    def _is_running(self) -> bool:
        return any(self._queue.holds(job) for job in self._jobs)

    def _missing(self) -> str:
        if self.ui.inputSelector.currentNode() is None:
            return hints()["volume"]
        if self._picker.offer is None:
            return hints()["model"]
        return hints()["organ"] if self._picker.organs == [] else ""

    def _clicked(self, _checked: bool = False) -> None:
        if self._queue.is_busy:
            if self._is_running:
                self.ui.statusLabel.setText(_("Cancelling ..."))
                self._queue.cancel()
            return
        node = self.ui.inputSelector.currentNode()
        if node is not None:
            older = None if is_sequence(node) else self.ui.outputSelector.currentNode()
            self._begin(node, self._picker.organs, older)

    def _again(self, _checked: bool = False) -> None:
        """Only the selected organ, into the segmentation that is shown."""
        organ, offer = self._table.selected_organ, self._picker.offer
        node = self._volume_of_result()
        if not organ:
            self.ui.statusLabel.setText(_("Select an organ in the table first."))
        elif offer is None or organ not in [known.name for known in offer.spec.labels.organs]:
            self.ui.statusLabel.setText(_("The chosen model does not know '{organ}'.").format(organ=organ))
        elif node is None:
            self.ui.statusLabel.setText(_("The volume of this segmentation is not in the scene; choose it above."))
        else:
            self._begin(node, [organ], self._table.node)

    def _begin(self, node: Any, organs: Sequence[str] | None, older: Any) -> None:
        offer = self._picker.offer
        if offer is None or self._queue.is_busy or self.accepting.is_asking:
            return
        if why_not := self._why_not([offer.entry.name]):
            self.ui.statusLabel.setText(why_not)
            return
        try:
            self._jobs = self._jobs_for(node, offer.entry.name, organs)
        except LiverMRISegError as error:
            self._failed(str(error))
            return
        self.accepting.begin(older, self._jobs[0].inside)
        self._log.add(
            _("Segmenting with {model} on {device}").format(model=offer.entry.name, device=self._picker.device)
        )
        self._queue.start(self._jobs)
        self.update()

    def _jobs_for(self, node: Any, model: str, organs: Sequence[str] | None) -> list[Job]:
        roi = self.ui.roiSelector.currentNode()
        if is_sequence(node):
            jobs = frame_jobs(OverTime(slicer.mrmlScene, node), model, self._picker.device, organs)
        else:
            jobs = [Job(node.GetName(), model, self._picker.device, organs, node=node)]
        for job in jobs:
            job.inside = chosen_box(roi) if roi is not None else None
        return jobs

    def _show(self, job: Job) -> None:
        self.ui.resultCollapsibleButton.collapsed = False
        if job.result is None:
            return
        is_asking = self.accepting.ask(job.result)
        self.ui.statusLabel.setText(_("Done in {time}.").format(time=job.message))
        if not is_asking:
            self.ui.outputSelector.setCurrentNode(self._table.node)

    def _show_over_time(self, jobs: Sequence[Job], over_time: OverTime) -> None:
        try:
            result = over_time.finish()
        except CancelledError:
            self.ui.statusLabel.setText(_("Cancelled. Nothing was changed."))
            return
        except LiverMRISegError as error:
            self._failed(str(error))
            return
        self.ui.resultCollapsibleButton.collapsed = False
        self._table.show_over_time(result)
        self.ui.outputSelector.setCurrentNode(result.shown)
        states = [job.state for job in jobs]
        done, failed = states.count(DONE), [job for job in jobs if job.state == FAILED]
        text = _("Cancelled: {done} of {count} frames are kept.") if CANCELLED in states else (
            _("Done: {done} of {count} frames.")
        )  # fmt: skip
        text = text.format(done=done, count=len(jobs))
        for job in failed[:1]:
            number = job.frame.number if job.frame is not None else 0
            text += " " + _("{n} failed; frame {number}: {why}").format(n=len(failed), number=number, why=job.message)
        self.ui.statusLabel.setText(breakable(text))

    def _failed(self, why: str) -> None:
        self.ui.statusLabel.setText(breakable(_("Failed: {why}").format(why=why)))
        self.ui.logCollapsibleButton.collapsed = False

    def _edit(self, _checked: bool = False) -> None:
        node = self._table.node
        if node is not None:
            open_segment_editor(node, self._volume_of_result(), self._table.selected_segment)

    def _volume_of_result(self) -> Any:
        """The volume that the segmentation was made from, else the chosen one."""
        node = self._table.node
        made_from = source_volume(node) if node is not None else None
        return made_from if made_from is not None else volume_shown(self.ui.inputSelector.currentNode())
