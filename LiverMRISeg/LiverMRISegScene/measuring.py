"""A segmentation and maps of the scene as files for the worker, which measures or exports them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.worker.tasks import ExportTask, Layer, MapFile, MeasureTask
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.io.dicom.header import DicomHeader, read_dicom_header
from LiverMRISegLib.io.dicom.philips import signal_scales
from LiverMRISegLib.io.dicom.real_world import real_world_of
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.segment_names import organs_meant, segment_names
from LiverMRISegScene.segment_volumes import key_of
from LiverMRISegScene.segmentations import check_label_maps, image_array, segment_image
from LiverMRISegScene.volume_kind import loaded_dicom_files
from LiverMRISegScene.volumes import matrix_array, volume_of

_MOST = 200


@dataclass(frozen=True)
class MapChoice:
    """Volume nodes to be measured: see `tasks.MapFile`."""

    name: str
    image: Any
    second: Any = None
    kind: str = "map"


def measure_task(
    segmentation: Any,
    volume: Any,
    maps: Sequence[MapChoice],
    folder: Path,
    *,
    erosion_mm: float = 0.0,
    outliers: float | None = None,
) -> MeasureTask:
    """Write the segments of a segmentation, on the grid of its volume, and the maps.

    Raises:
        InputError: the segmentation is empty or under another transform than its volume, has no label maps, or has a
            segment outside the volume; or a map cannot be used.
    """
    files = []
    for number, choice in enumerate(maps):
        image = _written(choice.image, folder / f"map_{number}.nrrd")
        second = _written(choice.second, folder / f"map_{number}_2.nrrd") if choice.second is not None else None
        files.append(MapFile(choice.name, image, second, choice.kind))  # type: ignore[arg-type]
    layers = _layers(segmentation, volume, folder)
    return MeasureTask(layers, tuple(files), erosion_mm, outliers, str(volume.GetName()))


def export_task(
    segmentation: Any,
    volume: Any,
    maps: Sequence[MapChoice],
    folder: Path,
    target: Path,
    *,
    erosion_mm: float = 0.0,
    outliers: float | None = None,
) -> ExportTask:
    """Write the segments of a segmentation on the grid of its volume, which came from DICOM, and what to measure.

    The volume's transform is not part of the DICOM images; what is measured is measured under it, where the maps are.

    Raises:
        InputError: the volume did not come from DICOM, or as `measure_task`.
    """
    images = loaded_dicom_files(volume)
    if not images:
        text = _("{name}: did not come from Slicer's DICOM database; load it from there to export to DICOM")
        raise InputError(text.format(name=volume.GetName()))
    measured = measure_task(segmentation, volume, maps, folder, erosion_mm=erosion_mm, outliers=outliers)
    unmoved = folder / "unmoved"
    unmoved.mkdir()
    layers = _layers(segmentation, volume, unmoved, is_moved=False)
    return ExportTask(layers, tuple(Path(image) for image in images), target, measured=measured)


def quantities_not_applied(maps: Sequence[MapChoice]) -> list[str]:
    """What to say of maps of whose DICOM images Slicer takes other values than we do.

    It takes neither a Real World Value Mapping nor the scale by which Philips stores each of two images.
    """
    said = []
    for choice in maps:
        said += [text for node in (choice.image, choice.second) if (text := _said_of_mapping(node))]
        one, other = (_display_scale(node) for node in (choice.image, choice.second))
        if one is not None and other is not None and not math.isclose(one, other, rel_tol=1e-4):
            text = _(
                "{name}: its two images are stored by Philips with different scales, which Slicer does not take out; "
                "measure the DICOM folders with livermriseg measure"
            )
            said.append(text.format(name=choice.name))
    return said


def _said_of_mapping(node: Any) -> str:
    header = _first_header(node)
    try:
        stated, scale = (real_world_of(header)[0], header.scales()[0]) if header else (None, None)
    except InputError:
        return ""
    if stated is None or (stated.slope, stated.intercept) == scale:
        return ""
    text = _(
        "{name}: its DICOM images state other values (Real World Value Mapping, {unit}) than Slicer shows; "
        "measure the DICOM folder with livermriseg measure"
    )
    return str(text.format(name=node.GetName(), unit=stated.unit or _("no unit")))


def _display_scale(node: Any) -> float | None:
    """Signal for each unit of the values that Slicer shows; None where the images do not say."""
    header = _first_header(node)
    try:
        signals = signal_scales(header) if header else None
        return None if signals is None or header is None else signals[0][0] / header.scales()[0][0]
    except InputError:
        return None


def _first_header(node: Any) -> DicomHeader | None:
    try:
        return read_dicom_header(Path(loaded_dicom_files(node)[0])) if node is not None else None
    except (IndexError, InputError, OSError):
        return None  # it is not from DICOM, or its files have gone


def table_of(reply: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rows of a reply to a `measure_task`, by column."""
    return [dict(zip(reply["header"], row, strict=True)) for row in reply["rows"]]


def mask_on(segmentation: Any, segment_id: str, volume: Any) -> np.ndarray:
    """The voxels of a segment on the grid of a volume under the same transform, bool [Z, Y, X]."""
    import slicer
    import vtk

    whole = np.zeros(volume.GetImageData().GetDimensions()[::-1], bool)
    image = segment_image(segmentation, segment_id)
    if image is None:
        return whole
    own, grid = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(own)
    volume.GetIJKToRASMatrix(grid)
    if not np.allclose(matrix_array(own), matrix_array(grid), atol=1e-4):
        reference, placed = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
        reference.SetDimensions(volume.GetImageData().GetDimensions())
        reference.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        reference.SetImageToWorldMatrix(grid)
        resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
        resample(image, reference, placed, False)
        image = placed
    x0, x1, y0, y1, z0, z1 = image.GetExtent()
    z, y, x = whole.shape
    inside = np.s_[max(z0, 0) : min(z1 + 1, z), max(y0, 0) : min(y1 + 1, y), max(x0, 0) : min(x1 + 1, x)]
    own_part = tuple(slice(part.start - low, part.stop - low) for part, low in zip(inside, (z0, y0, x0), strict=True))
    whole[inside] = image_array(image)[own_part] > 0
    return whole


def _layers(segmentation: Any, volume: Any, folder: Path, is_moved: bool = True) -> tuple[Layer, ...]:
    """As few label maps as hold all segments: those that overlap are in different ones."""
    if segmentation.GetTransformNodeID() != volume.GetTransformNodeID():
        text = _("{name}: is not under the same transform as the volume; move both under one")
        raise InputError(text.format(name=segmentation.GetName()))
    check_label_maps(segmentation)
    arrays: list[np.ndarray] = []
    names: list[dict[str, int]] = []
    called = segment_names(segmentation)
    for segment_id in called:
        mask = mask_on(segmentation, segment_id, volume)
        if not mask.any():
            _check_is_empty(segmentation, segment_id, volume)
            continue
        fits = (n for n, array in enumerate(arrays) if not array[mask].any() and len(names[n]) < _MOST)
        number = next(fits, len(arrays))
        if number == len(arrays):
            arrays.append(np.zeros(mask.shape, np.uint8))
            names.append({})
        names[number][called[segment_id]] = len(names[number]) + 1
        arrays[number][mask] = len(names[number])
    if not arrays:
        raise InputError(_("{name}: has no segments to measure").format(name=segmentation.GetName()))
    geometry = volume_of(volume).geometry if is_moved else _unmoved(volume)
    meant = organs_meant(segmentation, called)
    layers = []
    for number, (array, labels) in enumerate(zip(arrays, names, strict=True)):
        file = folder / f"layer_{number}.nrrd"
        write_volume(Volume(array, geometry, str(volume.GetName())), file)
        layers.append(Layer(file, labels, {name: organ for name, organ in meant.items() if name in labels}))
    return tuple(layers)


def _check_is_empty(segmentation: Any, segment_id: str, volume: Any) -> None:
    """Raise InputError if a segment has voxels, though none in the volume: it would be missing in silence."""
    image = segment_image(segmentation, segment_id)
    if image is not None and image_array(image).any():
        text = _("{segment} of {name}: is outside the volume {volume}; choose the volume that it was made from")
        segment = key_of(segmentation, segment_id)
        raise InputError(text.format(segment=segment, name=segmentation.GetName(), volume=volume.GetName()))


def _unmoved(volume: Any) -> Any:
    """The grid of a volume without its transform: where its DICOM images are."""
    import slicer

    alone = slicer.vtkMRMLScalarVolumeNode()
    alone.SetName(volume.GetName())
    alone.SetAndObserveImageData(volume.GetImageData())
    alone.CopyOrientation(volume)
    return volume_of(alone).geometry


def _written(node: Any, path: Path) -> Path:
    write_volume(volume_of(node), path)
    return path
