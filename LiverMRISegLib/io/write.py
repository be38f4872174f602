"""Write volumes and segmentations; the format follows the file's ending, and every write is atomic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.errors import OutputError, UsageError
from LiverMRISegLib.io import seg_nrrd
from LiverMRISegLib.io.file_names import IMAGE_FORMATS, SEGMENTATION_FORMATS, why_impossible
from LiverMRISegLib.io.image_files import write_image
from LiverMRISegLib.io.nifti_place import NiftiForms
from LiverMRISegLib.io.stored import shortened
from LiverMRISegLib.volume import Geometry, Volume


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write an image to .nii.gz, .nii, .nrrd or .mha.

    Raises:
        UsageError: another ending.
        OutputError: it cannot be written there.
    """
    path = Path(path)
    _format_of(path, IMAGE_FORMATS)
    array = volume.array
    if array.dtype in (np.bool_, np.float16):  # types that the formats do not have
        array = array.astype(np.uint8 if array.dtype == np.bool_ else np.float32)
    write_image(replace(volume, array=array), path)


def write_segmentation(
    path: str | Path,
    labelmap: np.ndarray,
    labels: LabelSet,
    geometry: Geometry,
    *,
    source: Volume | None = None,
    tags: Mapping[str, str] | None = None,
    comment: str = "",
) -> None:
    """Write a label map; .seg.nrrd also has names, colours, terminology and tags, .dcm is a DICOM SEG.

    Args:
        path: with one of the endings of `SEGMENTATION_FORMATS`.
        labelmap: integers [Z, Y, X], values of `labels`.
        labels: what the values mean.
        geometry: grid of the label map.
        source: the segmented volume; a DICOM SEG needs one that was read from DICOM.
        tags: what every segment of a .seg.nrrd has beside; other formats have no place for them.
        comment: what the file says of itself, a line of 64 characters of ASCII at most (`made_by.MadeBy.to_line`).

    Raises:
        UsageError: another ending, .dcm for an input that was not DICOM, or no label map of `geometry`.
        OutputError: it cannot be written there.
    """
    path = Path(path)
    kind = _format_of(path, SEGMENTATION_FORMATS)
    labelmap = _whole_labels(labelmap, path)
    if kind == "dcm":
        from LiverMRISegLib.io.dicom.seg import write_dicom_seg

        write_dicom_seg(path, labelmap, labels, source, comment)
        return
    pairs = seg_nrrd.pairs_of(labels, geometry.size, tags) if kind == "seg.nrrd" else {}
    forms = _forms_of(source, geometry)
    write_image(Volume(labelmap, geometry), path, forms=forms, pairs=pairs, comment=comment)


def _forms_of(source: Volume | None, geometry: Geometry) -> NiftiForms | None:
    """qform and sform of the input, which its mask gets too, so that every program puts the two in the same place."""
    if source is None or source.geometry != geometry:
        return None
    return source.metadata.get("nifti_forms")


def check_segmentation_target(path: str | Path, source: Volume | None) -> None:
    """Ask, before long work, whether `write_segmentation` could write a result of `source` there; errors as its."""
    path = Path(path)
    reason = why_impossible(path)
    if reason:
        raise OutputError(f"{shortened(str(path))}: {reason}; choose another one with -o")
    if _format_of(path, SEGMENTATION_FORMATS) == "dcm":
        from LiverMRISegLib.io.dicom.seg import check_dicom_seg

        check_dicom_seg(path, source)


def _whole_labels(labelmap: np.ndarray, path: Path) -> np.ndarray:
    """The labels as uint8, or uint16 where they are larger; UsageError if they are not labels."""
    if labelmap.dtype != np.bool_ and not np.issubdtype(labelmap.dtype, np.integer):
        raise UsageError(f"{path}: labels are whole numbers, not {labelmap.dtype}; threshold or round them first")
    lowest, highest = (int(labelmap.min()), int(labelmap.max())) if labelmap.size else (0, 0)
    if lowest < 0 or highest > 2**16 - 1:
        raise UsageError(f"{path}: labels are between 0 and {2**16 - 1}, not {lowest} and {highest}")
    return labelmap.astype(np.uint8 if highest < 256 else np.uint16, copy=False)


def _format_of(path: Path, known: tuple[str, ...]) -> str:
    for kind in sorted(known, key=len, reverse=True):
        if path.name.lower().endswith(f".{kind}") and len(path.name) > len(kind) + 1:
            return kind
    raise UsageError(f"{path}: unknown format; let the name end with one of .{', .'.join(known)}")
