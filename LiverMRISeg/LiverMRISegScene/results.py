"""From a volume node to the worker's files, and from what the worker answers to the nodes of a result."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, id_of, structure_named
from LiverMRISegLib.errors import InputError, LiverMRISegError, OutputError, SeveralVolumesError
from LiverMRISegLib.inference.flag import as_flags, from_parts
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.volume import Geometry
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.scene_result import SceneResult, write_result
from LiverMRISegScene.segmentations import add_segmentation
from LiverMRISegScene.volumes import geometry_of, volume_of

logger = logging.getLogger(__name__)
_LABELS, _SOURCE = "labels.nrrd", "volume.nrrd"


@dataclass(frozen=True)
class Stamp:
    """A volume as it was sent: `voxels` is another number once they may have changed."""

    voxels: int
    geometry: Geometry


def request_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the files of a request. What cannot be deleted, as it is being scanned, does not end a run.

    Raises:
        OutputError: the disk is full, or not writable.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="LiverMRISeg-", ignore_cleanup_errors=True)
    except OSError as error:
        text = _("no temporary folder can be made ({error}); free some disk space")
        raise OutputError(text.format(error=error)) from error


def prepared(volume_node: Any, folder: Path, under: Any = None) -> tuple[Path, Path]:
    """Write a volume node to a file for the worker; returns it, and the file that the worker writes its labels to.

    `under`: see `volume_of`.

    Raises:
        InputError: the volume cannot be used, or was removed from the scene.
        OutputError: the temporary folder is full or not writable.
    """
    _check_is_volume(volume_node)
    _check_is_there(volume_node)
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(f"{volume_node.GetName()}: is a label map; choose an image")
    source = folder / _SOURCE
    write_volume(volume_of(volume_node, under), source)
    return source, folder / _LABELS


def _check_is_volume(node: Any) -> None:
    """Scripts give what a search has found: nothing, a name, a sequence."""
    if not (hasattr(node, "IsA") and node.IsA("vtkMRMLScalarVolumeNode")):
        what = node.GetName() if hasattr(node, "GetName") else repr(node)
        raise InputError(
            f"{what}: is not a volume node; give one, such as slicer.util.getNode('t2'), or a sequence of volumes to "
            "segmentSequence"
        )


def told(text: str, folder: Path, name: str) -> str:
    """What the worker said of the temporary file of a volume, said of the volume."""
    return text.replace(str(folder / _SOURCE), name)


def reason_in_slicer(error: Exception) -> str:
    """What went wrong, in words: of several volumes in a file, where there is no --frame, what to do in Slicer.

    An error that nobody expected is in the application's log too, with where it happened.
    """
    if isinstance(error, SeveralVolumesError):
        return _("{facts}; load it into Slicer as a volume sequence and segment that").format(facts=error.facts)
    if isinstance(error, (LiverMRISegError, OSError)):
        return str(error)
    logger.error("unexpected error", exc_info=error)
    return _("unexpected {kind}: {words}").format(kind=type(error).__name__, words=error)


def labels_from(
    volume_node: Any, folder: Path, reply: Mapping[str, Any], stamp: Stamp, under: Any = None
) -> tuple[np.ndarray, LabelSet]:
    """The labels uint8 [Z, Y, X] that the worker wrote to `folder` for a volume, and what they mean.

    `stamp`: of the volume when it was written. `under`: see `volume_of`.

    Raises:
        InputError: the volume was removed; its voxels have changed in the meantime, as those of the one that shows a
            sequence do; or it has another place or another spacing now, which the model did not see.
    """
    _check_is_there(volume_node)
    labelmap, image = read_labelmap(folder / _LABELS).array, volume_node.GetImageData()
    if image is None or labelmap.shape != image.GetDimensions()[::-1]:
        raise _changed(volume_node)
    now = stamp_of(volume_node, under)
    if not now.geometry.is_close(stamp.geometry):
        raise _changed(volume_node)
    if now.voxels != stamp.voxels:
        segmented, shown = read_volume(folder / _SOURCE).array, volume_of(volume_node, under).array
        if not np.array_equal(segmented, shown, equal_nan=True):
            raise _changed(volume_node)
    return labelmap, LabelSet("result", {int(v): structure_named(name, int(v)) for name, v in reply["labels"].items()})


def _check_is_there(volume_node: Any) -> None:
    if volume_node.GetScene() is None:
        raise InputError(f"{volume_node.GetName()}: was removed from the scene before it was segmented")


def _changed(volume_node: Any) -> InputError:
    return InputError(f"{volume_node.GetName()}: changed while it was being segmented; segment it again")


def stamp_of(volume_node: Any, under: Any = None) -> Stamp:
    """Of a volume that `prepared` has written; arguments and errors as of `volume_of`."""
    return Stamp(int(volume_node.GetImageData().GetMTime()), geometry_of(volume_node, under))


def accepted(scene: Any, volume_node: Any, folder: Path, reply: Mapping[str, Any], stamp: Stamp) -> SceneResult:
    """Make a new segmentation node from the labels that the worker wrote; arguments and errors as `labels_from`."""
    labelmap, labels = labels_from(volume_node, folder, reply, stamp)
    name = scene.GenerateUniqueName(f"{volume_node.GetName()} organs")
    node = add_segmentation(scene, volume_node, labelmap, labels, name)
    result = result_of(volume_node.GetName(), node, reply)
    result = replace(result, made_ml={id_of(organ): ml for organ, ml in result.volumes_ml.items()})
    write_result(node, result)
    return result


def result_of(name: str, node: Any, reply: Mapping[str, Any]) -> SceneResult:
    """What the worker answered, with the node that was made of it."""
    flags = from_parts(reply["flag_parts"]) if "flag_parts" in reply else as_flags(reply["flags"])
    return SceneResult(name, node, reply["volumes_ml"], flags, reply["provenance"], trust=reply.get("trust", {}))
