"""The panel: puts its parts together and follows the scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegPanel.batch_view import BatchView
from LiverMRISegPanel.consent import agreed
from LiverMRISegPanel.log_view import LogView
from LiverMRISegPanel.maintenance import Maintenance
from LiverMRISegPanel.measure_view import MeasureView
from LiverMRISegPanel.model_picker import ModelPicker
from LiverMRISegPanel.qt_worker import shared_worker
from LiverMRISegPanel.result_table import ResultTable
from LiverMRISegPanel.run_view import RunView
from LiverMRISegPanel.scene_choices import SceneChoices, show_in_slices
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.job_queue import JobQueue
from LiverMRISegScene.jobs import Job
from LiverMRISegScene.sequences import volume_shown


class Panel:
    """Puts the parts together and owns the queue; made once, when the module's widget is set up.

    Args:
        ui: widgets of LiverMRISeg.ui by name.
        parameter_node: see `SceneChoices`.
    """

    def __init__(self, ui: Any, parameter_node: Callable[[], Any]) -> None:
        self.ui = ui
        self.worker = shared_worker()
        self.queue = JobQueue(slicer.mrmlScene, self.worker, self._job_changed, self._jobs_finished)
        self._is_ready = False
        self._volume: Any = None
        # A sequence of anything else than volumes (transforms, segmentations) is not offered.
        ui.inputSelector.addAttribute("vtkMRMLSequenceNode", "DataNodeClassName", "vtkMRMLScalarVolumeNode")
        self.log = LogView(ui)
        self.maintenance = Maintenance(ui, self._models_changed, lambda: self.queue.models)
        self.picker = ModelPicker(ui, self._input_changed)
        self.table = ResultTable(ui)
        self.run = RunView(ui, self.queue, self.picker, self.table, self.log, self._may_run)
        self.measure = MeasureView(ui, self.queue, self.table, self.log, self._update)
        self.batch = BatchView(ui, self.queue, self.picker, self.log, self._may_run)
        self.choices = SceneChoices(ui, self.picker, parameter_node)
        self._is_ready = True
        ui.outputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._segmentation_changed)
        ui.modelSelector.connect("activated(int)", lambda _index: self.choices.save())
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._volume_changed)
        # With Qt 6 the choice of another node of the same name sends only this.
        ui.outputSelector.connect("nodeActivated(vtkMRMLNode*)", self._segmentation_changed)
        ui.inputSelector.connect("nodeActivated(vtkMRMLNode*)", self._volume_activated)
        self._volume_changed(ui.inputSelector.currentNode())

    def enter(self) -> None:
        """The module is shown: models and devices may have changed in the meantime."""
        if not self.queue.is_busy:
            self.picker.refresh()
            self.maintenance.refresh()
            self.choices.restore()

    def scene_loading(self) -> None:
        """Nodes are about to be read from a file; Slicer empties its node selectors at the end of that."""
        self.choices.pause()

    def scene_loaded(self) -> None:
        """Nodes were read, perhaps with the choices that were saved with them."""
        self.choices.resume()
        self.choices.restore()

    def scene_closing(self) -> None:
        """End a run in the scene, which is not touched any more. A batch of files goes on."""
        self.choices.pause()
        if self.queue.needs_scene:
            self.log.add(_("The scene was closed, and what was under way in it has ended."))
        if self.queue.needs_scene or not self.queue.is_busy:
            self.queue.abandon()

    def scene_closed(self) -> None:
        """Show the empty state."""
        self.choices.resume()
        self.picker.forget()
        self.run.reset()
        self.measure.reset()
        if self.queue.is_busy:
            self._update()
        else:
            self.batch.reset()

    def node_going(self, node: Any) -> None:
        """A node is about to be removed from the scene."""
        self.choices.drop(node)

    def close(self) -> None:
        """The application exits or the module is reloaded."""
        self.choices.pause()  # after a reload the old selectors live on, hidden
        self.queue.abandon()
        self.picker.close()
        self.table.close()

    def _may_run(self, models: Sequence[str]) -> str:
        if why_not := self.maintenance.why_not_installed():
            return _("Not segmented: {why}.").format(why=why_not)
        try:
            is_agreed = agreed(models)
        except LiverMRISegError as error:  # a model has gone since it was listed, or is damaged
            return _("Not segmented: {why}.").format(why=error)
        return "" if is_agreed else _("Not segmented: the licence of the weights was not accepted.")

    def _volume_changed(self, node: Any) -> None:
        volume = volume_shown(node)
        self.picker.show_volume(volume if volume is not None else node)
        if volume is not None and node is not self._volume:  # else it was only renamed
            show_in_slices(volume)
            self.choices.leave_result(volume)
        self._volume = node
        if node is not None:
            self.choices.save()

    def _volume_activated(self, node: Any) -> None:
        if node is not self._volume:
            self._volume_changed(node)

    def _segmentation_changed(self, node: Any) -> None:
        self.choices.save()
        if node is not None and node is not self.table.node and not self.run.accepting.is_asking:
            self.table.put_back(self.table.recall(node))
            self._update()

    def _input_changed(self) -> None:
        if self._is_ready:
            self.run.update()

    def _models_changed(self) -> None:
        if self._is_ready:
            self.picker.refresh()

    def _job_changed(self, job: Job) -> None:
        if self.batch.owns(job):
            self.batch.changed(job)
        self.run.changed(job)
        if job.is_over:
            self.log.add_job(job, self.batch.row_of(job))
        if job.fraction == 0:  # it has just started
            self._update()

    def _jobs_finished(self, jobs: Sequence[Job]) -> None:
        if jobs and self.batch.owns(jobs[0]):
            self.batch.finished(jobs)
        else:
            self.run.finished(jobs)
        self.choices.save()  # with Qt 6 no signal tells that a result of the same name was chosen
        self._update()

    def _update(self) -> None:
        """While one section runs, the other one has to wait."""
        self.run.update()
        self.measure.update()
        self.batch.update()
