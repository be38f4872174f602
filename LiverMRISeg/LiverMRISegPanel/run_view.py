"""The button Segment: progress with the time left, cancel, the result, and whether it replaces an older one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegPanel.log_view import LogView
from LiverMRISegPanel.model_picker import ModelPicker
from LiverMRISegPanel.result_table import ResultTable
from LiverMRISegPanel.words import time_left
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.jobs import CANCELLED, DONE, Job, JobQueue
from LiverMRISegScene.segmentations import replace_segments


class RunView:
    """The Segment button and what belongs to it.

    Args:
        ui: the panel's widgets.
        queue: runs the job.
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
        self._older: Any = None
        self._job: Job | None = None
        ui.segmentButton.connect("clicked(bool)", self._clicked)
        ui.acceptButton.connect("clicked(bool)", self._accept)
        ui.discardButton.connect("clicked(bool)", self._discard)
        self.reset()

    def reset(self) -> None:
        """Return to the empty state."""
        self._older = None
        self.ui.acceptFrame.setVisible(False)
        self._table.show(None)
        self.update()

    def update(self) -> None:
        """Update the state and the text of the button."""
        busy, own = self._queue.is_busy, self._queue.holds(self._job)
        why_not = "" if busy else self._missing()
        self.ui.segmentButton.setText(_("Cancel") if own else _("Segment"))
        self.ui.segmentButton.setEnabled(own or not (busy or why_not))
        self.ui.progressBar.setVisible(busy)
        if why_not:
            self.ui.statusLabel.setText(why_not)
        elif not busy and self.ui.statusLabel.text in [_(hint) for hint in _HINTS]:
            self.ui.statusLabel.setText(_("Ready."))

    def changed(self, job: Job) -> None:
        """Show the progress of a job."""
        self.ui.progressBar.setValue(round(100 * job.fraction))
        left = time_left(job.seconds_left)
        self.ui.statusLabel.setText(job.message + (f", {left}" if left else ""))

    def finished(self, jobs: Sequence[Job]) -> None:
        """Show the result of a run started by a click."""
        job = jobs[0]
        self._log.add_job(job)
        if job.state == DONE and job.result is not None:
            self._show(job)
        elif job.state == CANCELLED:
            self.ui.statusLabel.setText(_("Cancelled. Nothing was changed."))
        else:
            self.ui.statusLabel.setText(_("Failed: {why}").format(why=job.message))
            self.ui.logCollapsibleButton.collapsed = False
        self.update()

    def _missing(self) -> str:
        if self.ui.inputSelector.currentNode() is None:
            return _(_HINTS[0])
        if self._picker.offer is None:
            return _(_HINTS[1])
        return _(_HINTS[2]) if self._picker.organs == [] else ""

    def _clicked(self, _checked: bool = False) -> None:
        if self._queue.is_busy:
            if self._queue.holds(self._job):
                self.ui.statusLabel.setText(_("Cancelling ..."))
                self._queue.cancel()
            return
        offer, node = self._picker.offer, self.ui.inputSelector.currentNode()
        if offer is None or node is None:
            return
        if why_not := self._why_not([offer.entry.name]):
            self.ui.statusLabel.setText(why_not)
            return
        self._older = self.ui.outputSelector.currentNode()
        self.ui.acceptFrame.setVisible(False)
        job = self._job = Job(node.GetName(), offer.entry.name, self._picker.device, self._picker.organs, node=node)
        self._log.add(_("Segmenting with {model} on {device}").format(model=job.model, device=job.device))
        self._queue.start([job])
        self.update()

    def _show(self, job: Job) -> None:
        result = job.result
        self._table.show(result)
        self.ui.resultCollapsibleButton.collapsed = False
        engine = result.provenance.get("engine", "") if result is not None else ""
        self.ui.statusLabel.setText(_("Done in {time} ({engine}).").format(time=job.message, engine=engine))
        if self._older is not None and self._older.GetScene() is not None:
            self._older.SetDisplayVisibility(False)
            name = self._older.GetName()
            self.ui.acceptLabel.setText(_("Replace the organs in '{name}' with the new ones?").format(name=name))
            self.ui.acceptFrame.setVisible(True)
        else:
            self._older = None
            self.ui.outputSelector.setCurrentNode(self._table.node)

    def _accept(self, _checked: bool = False) -> None:
        older, newer = self._older, self._table.node
        self._close_question()
        if older is None or newer is None or older.GetScene() is None:
            return
        slicer.mrmlScene.SaveStateForUndo()
        try:
            replace_segments(older, newer)
        except LiverMRISegError as error:
            self.ui.statusLabel.setText(str(error))
            return
        self._table.use_node(older)
        self.ui.statusLabel.setText(_("The new result was accepted."))

    def _discard(self, _checked: bool = False) -> None:
        newer = self._table.node
        self._close_question()
        self._table.show(None)
        if newer is not None:
            slicer.mrmlScene.RemoveNode(newer)
        self.ui.statusLabel.setText(_("The new result was discarded. The older one is unchanged."))

    def _close_question(self) -> None:
        self.ui.acceptFrame.setVisible(False)
        if self._older is not None and self._older.GetScene() is not None:
            self._older.SetDisplayVisibility(True)


_HINTS = ("Choose a volume.", "Choose a model.", "Check at least one organ.")
