"""Many volumes in one run: a table with a row for each volume and its state, and the results as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer

from LiverMRISegLib.errors import InputError, LiverMRISegError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegPanel.log_view import LogView
from LiverMRISegPanel.model_picker import ModelPicker
from LiverMRISegPanel.result_table import save_text
from LiverMRISegPanel.tables import fit_columns, show_only
from LiverMRISegPanel.words import breakable, state_text, time_left
from LiverMRISegScene import batch
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.job_queue import JobQueue
from LiverMRISegScene.jobs import DONE, EARLIER, WAITING, Job

_SCENE, _PATIENT, _FOLDER = range(3)
_VOLUME, _MODEL, _STATE = range(3)
_WIDEST = 180


class BatchView:
    """The batch section of the panel; arguments as in `RunView`."""

    def __init__(
        self, ui: Any, queue: JobQueue, picker: ModelPicker, log: LogView, why_not: Callable[[Sequence[str]], str]
    ) -> None:
        self.ui, self._queue, self._picker = ui, queue, picker
        self._log, self._why_not = log, why_not
        self.jobs: list[Job] = []
        self._listed = ""
        for text in (_("All volumes of the scene"), _("All volumes of the patient"), _("A folder of files")):
            ui.batchSource.addItem(text)
        ui.batchTable.setColumnCount(3)
        ui.batchTable.setHorizontalHeaderLabels([_("Volume"), _("Model"), _("State")])
        show_only(ui.batchTable)
        ui.batchTable.horizontalHeader().setStretchLastSection(True)
        ui.batchSource.connect("currentIndexChanged(int)", self._source_changed)
        ui.batchListButton.connect("clicked(bool)", self._list)
        ui.batchRunButton.connect("clicked(bool)", self._run)
        ui.batchExportButton.connect("clicked(bool)", self._export)
        self._source_changed(0)
        self.reset()

    def reset(self) -> None:
        """An empty table."""
        self.jobs = []
        self.ui.batchTable.setRowCount(0)
        self.update()

    def update(self) -> None:
        """Update the state and the text of the buttons."""
        busy, own = self._queue.is_busy, self._is_running
        rest = [job for job in self.jobs if job.state not in (DONE, EARLIER)]
        started = 0 < len(rest) < len(self.jobs)
        label = _("Cancel batch") if own else (_("Run the rest") if started else _("Run batch"))
        self.ui.batchRunButton.setText(label)
        self.ui.batchRunButton.setEnabled(own or (bool(rest) and not busy))
        self.ui.batchListButton.setEnabled(not busy)
        self.ui.batchExportButton.setEnabled(any(job.is_over for job in self.jobs))

    def owns(self, job: Job) -> bool:
        """Whether a job has a row in the table."""
        return job in self.jobs

    def row_of(self, job: Job) -> int | None:
        """The number of a job's row, from 1; None if it has none."""
        return 1 + self.jobs.index(job) if self.owns(job) else None

    def changed(self, job: Job) -> None:
        """Show the progress of a job in its row."""
        row = self.jobs.index(job)
        left = time_left(job.seconds_left)
        text = f"{state_text(job.state)}: {job.message}" + (f", {left}" if left else "")
        if job.result is not None and (job.result.flags or job.disagreements):
            text += _("; check: {flags}").format(flags="; ".join([*job.disagreements, *job.result.flags]))
        self._put(row, _STATE, text)
        self.ui.batchTable.scrollToItem(self.ui.batchTable.item(row, _VOLUME))
        if job.state == DONE:
            self._save_table()  # so that a crash later in the run does not lose it

    def finished(self, jobs: Sequence[Job]) -> None:
        """All jobs are over: say where results of a study disagree, and write the table of a folder."""
        for job in jobs:
            if job.disagreements:
                self.changed(job)
        self._log.add(_("Batch: {text}").format(text=_summary(self.jobs)))
        why_no_table = self._save_table()
        odd = sum(bool(job.disagreements) for job in self.jobs)
        said = [_("Batch: {text}.").format(text=_summary(self.jobs))]
        if odd:
            said.append(_("{n} volumes disagree: see State.").format(n=odd))
        if why_no_table:
            said.append(_("The table was not written: {why}.").format(why=why_no_table))
        self.ui.statusLabel.setText(breakable(" ".join(said)))
        self.update()

    def _save_table(self) -> str:
        """Write the volumes of a folder's batch beside its results, with those of earlier runs; empty, or why not."""
        path = self._table_path
        if path is None:
            return ""
        try:
            batch.set_aside_foreign_table(path)
            atomic_write_text(path, batch.as_csv(self.jobs, batch.read_saved_rows(path)))
        except (LiverMRISegError, OSError) as error:
            self._log.add_hidden(str(error), [path])
            return str(error)
        return ""

    @property
    def _table_path(self) -> Path | None:
        """The file for the volumes of a folder's batch; None for volumes of the scene."""
        output = self.jobs[0].output if self.jobs else None
        return output.parent / batch.TABLE_FILE if output is not None else None

    @property
    def _is_running(self) -> bool:
        return any(self._queue.holds(job) for job in self.jobs)

    def _source_changed(self, index: int) -> None:
        self.ui.batchFolder.setEnabled(index == _FOLDER)

    def _list(self, _checked: bool = False) -> None:
        try:
            self.jobs = self._found()
        except LiverMRISegError as error:
            self.reset()
            self.ui.statusLabel.setText(str(error))
            return
        self.ui.batchTable.setRowCount(len(self.jobs))
        for row, job in enumerate(self.jobs):
            self._put(row, _VOLUME, job.title)
            self._put(row, _MODEL, job.model)
            self._put(row, _STATE, ": ".join(filter(None, (state_text(job.state), job.message))))
        fit_columns(self.ui.batchTable, (_VOLUME, _MODEL), _WIDEST)
        found = _("Volumes listed: {n}.").format(n=len(self.jobs))
        self.ui.statusLabel.setText(found if self.jobs else _("No volumes found; load some, or choose a folder."))
        self.update()

    def _found(self) -> list[Job]:
        offer = self._picker.offer
        self._listed = offer.entry.name if offer is not None else ""
        if offer is None:
            return []
        source = self.ui.batchSource.currentIndex
        if source == _FOLDER:
            return self._in_folder(offer.entry.name)
        node = self.ui.inputSelector.currentNode()
        if source == _PATIENT and node is not None:
            nodes = batch.volumes_of_patient(slicer.mrmlScene, node)
        else:
            nodes = batch.volumes_in_scene(slicer.mrmlScene) if source == _SCENE else []
        return batch.scene_jobs(nodes, offer.entry.name, is_study=source == _PATIENT)

    def _in_folder(self, model: str) -> list[Job]:
        path = self.ui.batchFolder.currentPath.strip()
        if not path:  # as a path it would be the folder that Slicer was started in
            raise InputError(_("Choose a folder first."))
        try:
            jobs = batch.folder_jobs(Path(path), model)
        except OSError as error:  # no permission, or a network drive that has gone
            text = _("{folder}: cannot be read ({why}); check the folder")
            raise InputError(text.format(folder=path, why=error.strerror or error)) from error
        self.ui.batchFolder.addCurrentPathToHistory()
        return jobs

    def _run(self, _checked: bool = False) -> None:
        if self._queue.is_busy:
            if self._is_running:
                self._queue.cancel()
            return
        if why_not := self._not_as_listed():
            self.ui.statusLabel.setText(why_not)
            return
        rest = [job for job in self.jobs if job.state not in (DONE, EARLIER)]
        if why_not := self._why_not([job.model for job in rest]):
            self.ui.statusLabel.setText(why_not)
            return
        for job in rest:
            job.state, job.message = WAITING, ""
            # A model for another sequence finds what the chosen one was asked for, though it may know more organs.
            organs = self._picker.organs if job.model == self._listed else self._picker.checked_organs
            job.device, job.organs = self._picker.device, organs
            self.changed(job)
        self._log.add(_("Batch of {n} volumes").format(n=len(rest)))
        self._queue.start(rest)
        self.update()

    def _not_as_listed(self) -> str:
        offer = self._picker.offer
        if offer is None or offer.entry.name != self._listed:
            return _("The model has changed; click List volumes again.")
        return _("Check at least one organ.") if self._picker.organs == [] else ""

    def _put(self, row: int, column: int, text: str) -> None:
        item = qt.QTableWidgetItem(text)
        item.setToolTip(text)
        self.ui.batchTable.setItem(row, column, item)

    def _export(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getSaveFileName(self.ui.batchTable, _("Save volumes"), batch.TABLE_FILE, "CSV (*.csv)")
        if path:
            table = self._table_path
            save_text(path, batch.as_csv(self.jobs, batch.read_saved_rows(table) if table is not None else {}))


def _summary(jobs: Sequence[Job]) -> str:
    states = [job.state for job in jobs]
    return ", ".join(f"{states.count(state)} {state_text(state)}" for state in dict.fromkeys(states))
