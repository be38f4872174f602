"""All frames of a sequence segmented: a sequence of segmentations in step with it, a table and a curve over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import id_of
from LiverMRISegLib.errors import CancelledError, InputError
from LiverMRISegLib.inference.flag import as_flags
from LiverMRISegLib.inference.progress import Progress
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.frame_table import add_chart, add_table, check_of
from LiverMRISegScene.results import Stamp, labels_from, prepared, result_of, stamp_of
from LiverMRISegScene.scene_result import SceneResult, read_result, write_result
from LiverMRISegScene.segment_volumes import SegmentVolume, segment_volumes
from LiverMRISegScene.segmentations import GEOMETRY_REFERENCE, fill_segmentation, place_beside
from LiverMRISegScene.sequences import SEQUENCE, SequenceFrame, add_in_step, browser_of, frames_of, sequence_behind
from LiverMRISegScene.volume_kind import VolumeKind, kind_of

# Roles of the nodes that a sequence of segmentations refers to.
_TABLE, _CHART = "LiverMRISeg.Table", "LiverMRISeg.Chart"


@dataclass(frozen=True)
class SequenceResult:
    """A sequence of segmentations, the node that shows its current frame, and every frame's result or error.

    `table` (vtkMRMLTableNode) has a row a frame, `chart` (vtkMRMLPlotChartNode) a curve an organ; None once they were
    removed from the scene and the result is found again. Frames that were cancelled are not among `frames`; `values`
    are the index values of all, in order.
    """

    name: str
    sequence: Any
    shown: Any
    browser: Any
    table: Any
    chart: Any
    frames: Mapping[SequenceFrame, SceneResult] = field(default_factory=dict)
    values: Sequence[str] = ()

    @property
    def is_there(self) -> bool:
        """Whether the browser still shows the sequence in `shown`."""
        return self.browser.GetScene() is not None and self.browser.GetProxyNode(self.sequence) is self.shown

    @property
    def number(self) -> int:
        """Of the frame that is shown, from 1; 0 if it is none of the frames that were there at the run.

        By its index value: once the volumes are removed, the browser counts the frames that have segmentations.
        """
        first, item = self.browser.GetMasterSequenceNode(), self.browser.GetSelectedItemNumber()
        value = first.GetNthIndexValue(item) if first is not None and item >= 0 else None
        return self.values.index(value) + 1 if value in self.values else 0

    @property
    def organs(self) -> list[str]:
        """All organs that any frame has a result of."""
        return list(dict.fromkeys(organ for result in self.frames.values() for organ in result.volumes_ml))

    @property
    def current(self) -> SceneResult:
        """The result of the frame that is shown."""
        return self.of_frame(self.number)

    def of_frame(self, number: int) -> SceneResult:
        """The result of a frame by its number from 1; of none, where it has no result."""
        found = next(
            (result for frame, result in self.frames.items() if frame.number == number), SceneResult(self.name)
        )
        if _has_result(found):
            return replace(found, node=self.shown)
        node = self._node_of(number)
        is_drawn = node is not None and node.GetSegmentation().GetNumberOfSegments() > 0
        said = _drawn() if is_drawn else found.error or _("this frame was not segmented")
        return SceneResult(self.name, self.shown, flags=as_flags([said]))

    def segments_of(self, number: int) -> list[SegmentVolume]:
        """The segments of a frame, as they are in the sequence now; errors as of `segment_volumes`."""
        node = self._node_of(number)
        return segment_volumes(node, self.shown.GetParentTransformNode()) if node is not None else []

    def _node_of(self, number: int) -> Any:
        """The segmentation of a frame in the sequence, None if it has none."""
        is_known = 0 < number <= len(self.values)
        return self.sequence.GetDataNodeAtValue(self.values[number - 1]) if is_known else None

    def as_scene_result(self) -> SceneResult:
        """For a list with results of volumes; the flags name frames that failed."""
        failed = [f"frame {frame.number}: {result.error}" for frame, result in self.frames.items() if result.error]
        return SceneResult(self.name, self.sequence, {}, as_flags(failed))


def _has_result(result: SceneResult) -> bool:
    return bool(result.volumes_ml or result.flags)


def _drawn() -> str:
    return _("drawn by hand: the model has no result of this frame")


def over_time_of(shown: Any) -> SequenceResult | None:
    """The result of a run over a sequence, found again by the node that shows its current frame; None of other nodes.

    It is all in the scene, so it is there after the scene was saved and opened. Where the volumes were removed, the
    table is not used: its rows have the numbers of the volumes' frames.
    """
    browser, organs = sequence_behind(shown)
    frames: dict[SequenceFrame, SceneResult] = {}
    if organs is None:
        return None
    volumes = browser.GetMasterSequenceNode()
    table = organs.GetNodeReference(_TABLE) if volumes is not organs else None
    for n in range(volumes.GetNumberOfDataNodes()):
        frame = SequenceFrame(n + 1, volumes.GetNthIndexValue(n), volumes.GetNthDataNode(n))
        node, said = organs.GetDataNodeAtValue(frame.value), check_of(table, frame.number)
        result = read_result(node, volumes.GetName()) if node is not None else SceneResult(volumes.GetName())
        if _has_result(result):
            frames[frame] = result
        elif said and said != _drawn():
            frames[frame] = SceneResult(volumes.GetName(), error=said)
    if not any(result.volumes_ml for result in frames.values()):
        return None
    values = [volumes.GetNthIndexValue(n) for n in range(volumes.GetNumberOfDataNodes())]
    chart = organs.GetNodeReference(_CHART)
    return SequenceResult(str(volumes.GetName()), organs, shown, browser, table, chart, frames, values)


class OverTime:
    """Collects the results of a sequence's frames and makes the nodes of them.

    Args:
        scene: the vtkMRMLScene.
        sequence: a vtkMRMLSequenceNode of scalar volumes.

    Raises:
        InputError: it is empty, or a sequence of something else.
    """

    def __init__(self, scene: Any, sequence: Any) -> None:
        self._scene, self._sequence = scene, sequence
        self.frames = frames_of(sequence)
        self.browser = browser_of(scene, sequence)
        self._organs: Any = None
        self._results: dict[SequenceFrame, SceneResult] = {}
        self._stamps: dict[SequenceFrame, Stamp] = {}

    @property
    def name(self) -> str:
        """Of the sequence."""
        return str(self._sequence.GetName())

    @property
    def kind(self) -> VolumeKind:
        """Modality and sequence, from the volume that shows the current frame, else from the name."""
        shown = self._shown_volume
        return kind_of(shown if shown is not None else self._sequence)

    @property
    def _shown_volume(self) -> Any:
        return self.browser.GetProxyNode(self._sequence)

    @property
    def _transform(self) -> Any:
        """That of the volume that shows the current frame."""
        shown = self._shown_volume
        return shown.GetParentTransformNode() if shown is not None else None

    def prepared(self, frame: SequenceFrame, folder: Path) -> tuple[Path, Path]:
        """As `results.prepared`, under the transform of the volume that shows the current frame."""
        self._check()
        files = prepared(frame.node, folder, self._transform)
        self._stamps[frame] = stamp_of(frame.node, self._transform)
        return files

    def accept(self, frame: SequenceFrame, folder: Path, reply: Mapping[str, Any]) -> SceneResult:
        """Put a frame's segmentation into the new sequence.

        Raises:
            InputError: the sequence was removed, or the frame has changed in the meantime.
        """
        import slicer

        self._check()
        labelmap, labels = labels_from(frame.node, folder, reply, self._stamps[frame], self._transform)
        if self._organs is None:
            self._organs = self._new_sequence()
        node = slicer.vtkMRMLSegmentationNode()
        node.SetName(self._organs.GetName())
        fill_segmentation(node, frame.node, labelmap, labels)
        result = result_of(self.name, None, reply)
        result = replace(result, made_ml={id_of(organ): ml for organ, ml in result.volumes_ml.items()})
        write_result(node, result)
        kept = self._organs.SetDataNodeAtValue(node, frame.value)
        result = self._results[frame] = replace(result, node=kept)
        return result

    def fail(self, frame: SequenceFrame, why: str) -> None:
        """A frame that could not be segmented: its row of the table says why."""
        self._results[frame] = SceneResult(self.name, error=why)

    def finish(self) -> SequenceResult:
        """Show the new sequence in the same browser, with a table and a curve.

        Raises:
            InputError: no frame could be segmented; says why the first failed.
            CancelledError: none was finished.
        """
        if self._organs is None:
            failed = next(iter(self._results.values()), None)
            raise InputError(failed.error) if failed is not None else CancelledError(_("cancelled; nothing was made"))
        self._check()
        shown = add_in_step(self.browser, self._organs)
        volume = self._shown_volume
        if volume is not None:
            shown.SetNodeReferenceID(GEOMETRY_REFERENCE, volume.GetID())
            shown.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
            place_beside(self._scene, volume, shown)
        table = add_table(self._scene, self._sequence, self._results)
        chart = add_chart(self._scene, table, self.name, shown)
        self._organs.SetNodeReferenceID(_TABLE, table.GetID())
        self._organs.SetNodeReferenceID(_CHART, chart.GetID())
        values = [frame.value for frame in self.frames]
        return SequenceResult(self.name, self._organs, shown, self.browser, table, chart, dict(self._results), values)

    def progress_of(self, frame: SequenceFrame, report: Callable[[str, float], None] | None) -> Progress | None:
        """Tells the progress of a frame as one of the whole."""
        if report is None:
            return None
        count = len(self.frames)
        said = _("frame {number} of {count}: {text}")
        return lambda text, done: report(
            said.format(number=frame.number, count=count, text=text), (frame.number - 1 + done) / count
        )

    def _new_sequence(self) -> Any:
        """As the sequence of volumes, but empty."""
        made = self._scene.AddNewNodeByClass(SEQUENCE, self._scene.GenerateUniqueName(f"{self.name} organs"))
        made.SetIndexName(self._sequence.GetIndexName())
        made.SetIndexUnit(self._sequence.GetIndexUnit())
        made.SetIndexType(self._sequence.GetIndexType())
        made.SetNumericIndexValueTolerance(self._sequence.GetNumericIndexValueTolerance())  # else frames fall together
        return made

    def _check(self) -> None:
        if self._sequence.GetScene() is None or self.browser.GetScene() is None:
            raise InputError(
                _("{name}: was removed from the scene while it was being segmented").format(name=self.name)
            )
