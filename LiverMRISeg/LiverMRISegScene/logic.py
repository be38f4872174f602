"""Segments volume nodes, for Slicer's Python console, scripts and the panel.

logic = SceneLogic(slicer.mrmlScene)
node = logic.segment(volumeNode, model="liver-any-sequence").node
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from LiverMRISegLib.errors import CancelledError, InputError, LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken, Progress
from LiverMRISegLib.inference.worker.client import WorkerClient, ask_and_wait
from LiverMRISegLib.inference.worker.protocol import Request, Worker, segment_request
from LiverMRISegLib.inference.worker.tasks import measure_request
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegScene.measuring import MapChoice, measure_task, table_of
from LiverMRISegScene.model_choice import check_takes_one_image
from LiverMRISegScene.over_time import OverTime, SequenceResult
from LiverMRISegScene.results import accepted, prepared, request_folder, stamp_of, told
from LiverMRISegScene.roi import chosen_box
from LiverMRISegScene.scene_result import SceneResult
from LiverMRISegScene.segment_editor import source_volume
from LiverMRISegScene.volume_kind import kind_of


class SceneLogic:
    """Segments volumes of a scene in a worker process that keeps its model loaded between calls; `close` ends it.

    Args:
        scene: the vtkMRMLScene.
        worker: the process; by default one of its own. In the application it is the panel's.
    """

    def __init__(self, scene: Any, worker: Worker | None = None) -> None:
        self.scene = scene
        self._worker = WorkerClient() if worker is None else worker

    def segment(
        self,
        volume_node: Any,
        *,
        model: str = DEFAULT_MODEL,
        organs: Sequence[str] | None = None,
        roi: Any = None,
        device: str = "auto",
        progress: Callable[[str, float], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> SceneResult:
        """Segment one volume node into a new segmentation node beside it.

        Args:
            volume_node: a vtkMRMLScalarVolumeNode.
            model: name or path.
            organs: only these; None for all.
            roi: a vtkMRMLMarkupsROINode; segment inside it alone.
            device: as in `Segmenter.load`.
            progress: called with what happens, and the share that is done.
            cancel: its `cancel` stops the run.

        Raises:
            InputError: the volume or the ROI cannot be used.
            ModelError: the model cannot be used, or takes several images a case.
            CancelledError: `cancel` was used.
            LiverMRISegError: the worker is busy with the panel's run, or it died; the message says why.
        """
        check_takes_one_image(model)
        inside = chosen_box(roi) if roi is not None else None
        with request_folder() as folder:
            source, target = prepared(volume_node, Path(folder))
            stamp, modality = stamp_of(volume_node), kind_of(volume_node).modality
            request = segment_request(
                source, target, model=model, device=device, organs=organs, modality=modality, inside=inside
            )
            reply = self._asked(request, Path(folder), str(volume_node.GetName()), progress, cancel)
            return accepted(self.scene, volume_node, Path(folder), reply, stamp)

    def segment_sequence(
        self,
        sequence: Any,
        *,
        model: str = DEFAULT_MODEL,
        organs: Sequence[str] | None = None,
        roi: Any = None,
        device: str = "auto",
        progress: Callable[[str, float], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> SequenceResult:
        """Segment all frames of a sequence of volumes: see `SequenceResult`. Arguments as in `segment`.

        A frame that fails does not stop the others. After `cancel` the finished frames are kept.

        Raises:
            InputError: it is not a sequence of scalar volumes, the ROI cannot be used, or no frame could be segmented.
            ModelError: the model cannot be used, or takes several images a case.
            CancelledError: `cancel` was used before a frame was finished.
        """
        check_takes_one_image(model)
        over_time = OverTime(self.scene, sequence)
        options: dict[str, Any] = {"model": model, "device": device, "organs": organs}
        options["modality"] = over_time.kind.modality
        options["inside"] = chosen_box(roi) if roi is not None else None
        for frame in over_time.frames:
            report = over_time.progress_of(frame, progress)
            try:
                (cancel or CancelToken()).check()
                with request_folder() as folder:
                    source, target = over_time.prepared(frame, Path(folder))
                    request = segment_request(source, target, **options)
                    reply = self._asked(request, Path(folder), over_time.name, report, cancel)
                    over_time.accept(frame, Path(folder), reply)
            except CancelledError:
                break
            except LiverMRISegError as error:
                over_time.fail(frame, str(error))
        return over_time.finish()

    def segment_batch(self, volume_nodes: Sequence[Any], **options: Any) -> list[SceneResult]:
        """Segment several nodes, volumes or sequences of volumes; a failed one does not stop the others.

        The node of a sequence's result is the new sequence of segmentations. CancelledError ends the batch.
        """
        results = []
        for node in volume_nodes:
            try:
                if node.IsA("vtkMRMLSequenceNode"):
                    results.append(self.segment_sequence(node, **options).as_scene_result())
                else:
                    results.append(self.segment(node, **options))
            except CancelledError:
                raise
            except LiverMRISegError as error:
                results.append(SceneResult(node.GetName(), error=str(error)))
        return results

    def measure(
        self,
        segmentation: Any,
        maps: Mapping[str, Any] = MappingProxyType({}),
        *,
        volume: Any = None,
        erosion_mm: float = 0.0,
        outliers: float | None = None,
    ) -> list[dict[str, str]]:
        """Measure the segments of a segmentation node as they are now: a row for each segment and map.

        Args:
            segmentation: a vtkMRMLSegmentationNode.
            maps: volume nodes by the name of what they show ("PDFF", "R2*", "T1", "ADC", ...), on any grid.
            volume: the grid to measure on; by default the volume that the segmentation was made from.
            erosion_mm: see `measurement.organs.Rules`.
            outliers: see there.

        Raises:
            InputError: the segmentation is empty, its volume is not in the scene, or a map cannot be used.
            LiverMRISegError: the worker is busy with the panel's run, or it died; the message says why.
        """
        grid = volume if volume is not None else source_volume(segmentation)
        if grid is None:
            raise InputError(f"{segmentation.GetName()}: its volume is not in the scene; give it as `volume`")
        choices = [MapChoice(name, node) for name, node in maps.items()]
        with request_folder() as folder:
            task = measure_task(segmentation, grid, choices, Path(folder), erosion_mm=erosion_mm, outliers=outliers)
            return table_of(ask_and_wait(self._worker, measure_request(task)))

    def _asked(
        self, request: Request, folder: Path, name: str, progress: Progress | None, cancel: CancelToken | None
    ) -> dict[str, Any]:
        """The worker's reply; its errors name the volume and not the temporary file."""
        try:
            return ask_and_wait(self._worker, request, progress, cancel)
        except LiverMRISegError as error:
            raise type(error)(told(str(error), folder, name)) from None

    def close(self) -> None:
        """End the worker process, unless the panel has a run under way in it."""
        if not self._worker.is_busy:
            self._worker.close()
