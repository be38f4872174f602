"""Writes label maps of DICOM images as DICOM SEG, and what was measured of them as DICOM SR, for the worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.inference.worker.measuring import measurements_of, structures_of
from LiverMRISegLib.inference.worker.tasks import ExportTask
from LiverMRISegLib.io import check_segmentation_target, read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.io.atomic_folder import atomic_folder
from LiverMRISegLib.measurement.dicom_report import write_dicom_report
from LiverMRISegLib.measurement.organs import Measurements
from LiverMRISegLib.volume import Geometry, Volume, resample


def exported(task: ExportTask) -> dict[str, Any]:
    """Write the folder, whole or not at all; where its files are.

    Raises:
        InputError: the images cannot be read, or are not those of the label map.
        OutputError: they do not allow a DICOM SEG, it cannot be written there, or the folder exists already.
        UsageError: highdicom is not installed.
    """
    reports = measurements_of(task.measured) if task.measured is not None else []
    with tempfile.TemporaryDirectory(prefix="LiverMRISeg-", ignore_cleanup_errors=True) as folder:
        source = _source(task.images, Path(folder))
        placed = [on_grid(read_labelmap(layer.file), source.geometry, source.name) for layer in task.layers]
        check_segmentation_target(task.folder / "segmentation.dcm", source)
        with atomic_folder(task.folder) as made:
            try:
                files = _written(made, task, placed, source, reports)
            except OutputError as error:  # of the folder's temporary name
                raise OutputError(str(error).replace(str(made), str(task.folder))) from error
    return {"files": [str(task.folder / file.name) for file in files]}


def _written(
    folder: Path, task: ExportTask, placed: Sequence[np.ndarray], source: Volume, reports: Sequence[Measurements]
) -> list[Path]:
    """The files of a DICOM SEG for each layer, then those of the reports."""
    files = []
    for layer, labelmap in zip(task.layers, placed, strict=True):
        target = free_path(folder, task.name)
        write_segmentation(target, labelmap, structures_of(layer), source.geometry, source=source)
        files.append(target)
    for file, found in zip(tuple(files), reports, strict=False):
        report = free_path(folder, f"{file.stem}_measurements")
        write_dicom_report(report, found, file)
        files.append(report)
    return files


def on_grid(labelmap: Volume, geometry: Geometry, name: str) -> np.ndarray:
    """The label map on the images' grid, which has the same voxels, in whatever order.

    Raises:
        InputError: it has others.
    """
    moved = resample(labelmap, geometry, nearest=True).array
    if sorted(geometry.size) != sorted(labelmap.geometry.size) or not np.array_equal(
        np.bincount(moved.ravel(), minlength=256), np.bincount(labelmap.array.ravel(), minlength=256)
    ):
        raise InputError(f"{name}: the DICOM images are not on the volume's grid; load them again and segment that")
    return moved


def free_path(folder: Path, name: str) -> Path:
    """A file NAME.dcm, NAME_2.dcm, ... of the folder that is not there yet."""
    number, path = 1, folder / f"{name}.dcm"
    while path.exists():
        number += 1
        path = folder / f"{name}_{number}.dcm"
    return path


def _source(images: Sequence[Path], folder: Path) -> Volume:
    """The volume of these files alone: other series may be in their folder."""
    if not images:
        raise InputError("the volume did not come from DICOM: its images are not known; load it from DICOM")
    for number, image in enumerate(images):
        link = folder / f"{number:06d}.dcm"
        try:
            os.link(image, link)
        except OSError:  # another disk, or a system without such links
            try:
                shutil.copyfile(image, link)
            except OSError as error:
                raise InputError(f"{image}: cannot be read ({error.strerror}); was it moved or deleted?") from error
    return read_volume(folder)
