"""Write volumes and segmentations; the format follows the file's ending, and every write is atomic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.io import seg_nrrd
from LiverMRISegLib.io.atomic import atomic_path
from LiverMRISegLib.io.headers import check_whole
from LiverMRISegLib.volume import Geometry, Volume

IMAGE_FORMATS = ("nii.gz", "nii", "nrrd", "mha")
SEGMENTATION_FORMATS = (*IMAGE_FORMATS, "seg.nrrd", "dcm")


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write an image to .nii.gz, .nii, .nrrd or .mha.

    Raises:
        UsageError: another ending.
        OutputError: it cannot be written there.
    """
    path = Path(path)
    _format_of(path, IMAGE_FORMATS)
    _write(volume.to_sitk(), path)


def write_segmentation(
    path: str | Path, labelmap: np.ndarray, labels: LabelSet, geometry: Geometry, *, source: Volume | None = None
) -> None:
    """Write a label map; .seg.nrrd also holds names, colours and terminology, .dcm is a DICOM SEG.

    Args:
        path: with one of the endings of `SEGMENTATION_FORMATS`.
        labelmap: integers [Z, Y, X], values of `labels`.
        labels: what the values mean.
        geometry: grid of the label map.
        source: the segmented volume; a DICOM SEG needs one that was read from DICOM.

    Raises:
        UsageError: another ending, or .dcm for an input that was not DICOM.
        OutputError: it cannot be written there.
    """
    path = Path(path)
    kind = _format_of(path, SEGMENTATION_FORMATS)
    if kind == "dcm":
        from LiverMRISegLib.io.dicom_seg import write_dicom_seg

        write_dicom_seg(path, labelmap, labels, source)
        return
    image = Volume(labelmap.astype(np.uint8, copy=False), geometry).to_sitk()
    if kind == "seg.nrrd":
        seg_nrrd.tag(image, labels)
    _write(image, path)


def _format_of(path: Path, known: tuple[str, ...]) -> str:
    for kind in sorted(known, key=len, reverse=True):
        if path.name.lower().endswith(f".{kind}") and len(path.name) > len(kind) + 1:
            return kind
    raise UsageError(f"{path}: unknown format; let the name end with one of .{', .'.join(known)}")


def _write(image: sitk.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(temporary))
        writer.SetUseCompression(not path.name.lower().endswith(".nii"))
        writer.SetCompressionLevel(1)
        try:
            writer.Execute(image)
            # The NIfTI writer says nothing when the disk is full; the file then is too short.
            check_whole(temporary)
        except (RuntimeError, InputError) as error:
            raise OutputError(
                f"{path}: cannot be written (disk full or no permission); free space or choose another folder"
            ) from error
