"""Segments volume nodes, for Slicer's Python console, scripts and the panel.

logic = SceneLogic(slicer.mrmlScene)
node = logic.segment(volumeNode, model="liver-any-sequence").node
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.errors import CancelledError, InputError, LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.worker.client import WorkerClient, ask_and_wait
from LiverMRISegLib.inference.worker.protocol import Worker, segment_request
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegScene.model_choice import check_takes_one_image
from LiverMRISegScene.segmentations import add_segmentation
from LiverMRISegScene.volume_kind import kind_of
from LiverMRISegScene.volumes import volume_of

_LABELS = "labels.nrrd"


@dataclass(frozen=True)
class SceneResult:
    """The result for one volume: the segmentation node, or the `error` in one line."""

    name: str
    node: Any = None
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


def prepared(volume_node: Any, folder: Path) -> tuple[Path, Path]:
    """Write a volume node to a file for the worker; returns it, and the file that the worker writes its labels to.

    Raises:
        InputError: the volume cannot be used.
        OutputError: the temporary folder is full or not writable.
    """
    source = folder / "volume.nrrd"
    write_volume(volume_of(volume_node), source)
    return source, folder / _LABELS


def accepted(scene: Any, volume_node: Any, folder: Path, reply: Mapping[str, Any]) -> SceneResult:
    """Make a new segmentation node from the labels that the worker wrote to `folder` and from its `reply`.

    Raises:
        InputError: the volume was removed, or its size has changed in the meantime.
    """
    if volume_node.GetScene() is None or volume_node.GetImageData() is None:
        raise InputError(f"{volume_node.GetName()}: was removed from the scene while it was being segmented")
    labelmap = read_labelmap(folder / _LABELS).array
    if labelmap.shape != volume_node.GetImageData().GetDimensions()[::-1]:
        raise InputError(f"{volume_node.GetName()}: changed while it was being segmented; segment it again")
    labels = LabelSet("result", {int(v): structure_named(name, int(v)) for name, v in reply["labels"].items()})
    node = add_segmentation(scene, volume_node, labelmap, labels, f"{volume_node.GetName()} organs")
    return SceneResult(volume_node.GetName(), node, reply["volumes_ml"], reply["flags"], reply["provenance"])


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
        device: str = "auto",
        progress: Callable[[str, float], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> SceneResult:
        """Segment one volume node into a new segmentation node beside it.

        Raises:
            InputError: the volume cannot be used.
            ModelError: the model cannot be used, or takes several images a case.
            CancelledError: `cancel` was used.
            LiverMRISegError: the worker is busy with the panel's run, or it died; the message says why.
        """
        check_takes_one_image(model)
        with tempfile.TemporaryDirectory(prefix="LiverMRISeg-") as folder:
            source, target = prepared(volume_node, Path(folder))
            modality = kind_of(volume_node).modality
            request = segment_request(source, target, model=model, device=device, organs=organs, modality=modality)
            reply = ask_and_wait(self._worker, request, progress, cancel)
            return accepted(self.scene, volume_node, Path(folder), reply)

    def segment_batch(self, volume_nodes: Sequence[Any], **options: Any) -> list[SceneResult]:
        """Segment several volume nodes; a failed one does not stop the others. CancelledError ends the batch."""
        results = []
        for node in volume_nodes:
            try:
                results.append(self.segment(node, **options))
            except CancelledError:
                raise
            except LiverMRISegError as error:
                results.append(SceneResult(node.GetName(), error=str(error)))
        return results

    def close(self) -> None:
        """End the worker process, unless the panel has a run under way in it."""
        if not self._worker.is_busy:
            self._worker.close()
