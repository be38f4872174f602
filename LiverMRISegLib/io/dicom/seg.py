"""DICOM SEG: the segmentation as a DICOM object that refers to the images it was made from (highdicom)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, CHAOS, LabelSet, Organ
from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.extras import require
from LiverMRISegLib.io.atomic import atomic_path
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.colors import cielab
from LiverMRISegLib.io.dicom.equipment import EQUIPMENT
from LiverMRISegLib.io.dicom.header import DicomHeader, read_dicom_header
from LiverMRISegLib.io.dicom.pixels import check_segment_pixels
from LiverMRISegLib.io.dicom.quiet import quiet, reason_without_quotes
from LiverMRISegLib.io.dicom.seg_frames import keep_frames, put_on_grid, refer_to_frames
from LiverMRISegLib.io.segment_codes import CODED, SEGMENTS, Segment, coded_organs, organ_of_codes, organs_meant
from LiverMRISegLib.version import __version__
from LiverMRISegLib.volume import Geometry, Volume

_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber",
)  # fmt: skip
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SOPInstanceUID", "Modality")
# What rounding to two decimals can make of perpendicular directions (cosine).
_PERPENDICULAR = 0.02


def write_dicom_seg(
    path: Path, labelmap: np.ndarray, labels: LabelSet, source: Volume | None, comment: str = ""
) -> None:
    """Write `labelmap` [Z, Y, X] as a DICOM SEG with a segment for every organ that occurs.

    `comment` becomes its Content Description, if there is one.

    Raises:
        UsageError: highdicom is not installed.
        OutputError: the source was not read from DICOM or lacks what the standard asks for, the label map is empty, or
            it cannot be written there.
    """
    source = _from_dicom(path, source)
    present = [(value, organ) for value, organ in labels.items() if np.any(labelmap == value)]
    if not present:
        raise OutputError(f"{path}: nothing was segmented, and a DICOM SEG cannot be empty; write .nii.gz instead")
    highdicom, _ = _libraries()
    numbered = np.zeros_like(labelmap, dtype=np.uint8)
    for number, (value, _) in enumerate(present, start=1):
        numbered[labelmap == value] = number
    descriptions = [_description(highdicom, n, organ) for n, (_, organ) in enumerate(present, start=1)]
    segmentation = _made(path, source, numbered, descriptions)
    if comment:
        segmentation.ContentDescription = comment
    with atomic_path(path) as temporary, quiet():
        segmentation.save_as(str(temporary))


def check_dicom_seg(path: Path, source: Volume | None) -> None:
    """Find out, before long work, whether a DICOM SEG of this image could be made: by making one of a single voxel.

    Raises:
        OutputError: the source was not read from DICOM, or its files do not allow it.
        UsageError: highdicom is not installed.
    """
    source = _from_dicom(path, source)
    highdicom, _ = _libraries()
    value, organ = next(iter(CHAOS.items()))
    probe = np.zeros(source.array.shape, np.uint8)
    probe[0, 0, 0] = value
    _made(path, source, probe, [_description(highdicom, 1, organ)])


def _from_dicom(path: Path, source: Volume | None) -> Volume:
    """`source`, which was read from DICOM, so that a DICOM SEG at `path` can refer to its files."""
    if source is None or not source.metadata.get("dicom_files"):
        raise OutputError(
            f"{path}: a DICOM SEG refers to DICOM images, but the input was none; write .seg.nrrd instead"
        )
    _libraries()
    return source


def read_dicom_seg(path: Path) -> Volume:
    """The label map of a DICOM SEG, values as its segments are numbered; `metadata` has what `segment_codes` wants.

    Raises:
        InputError: it is damaged or not a DICOM SEG, or its segments overlap.
        UsageError: highdicom is not installed.
    """
    highdicom, _ = _libraries()
    header = read_dicom_header(path)
    check_segment_pixels(header)
    with quiet():
        try:
            segmentation = highdicom.seg.segread(path)
            volume = segmentation.get_volume(combine_segments=True, perpendicular_tol=_PERPENDICULAR)
            # A label map's background may be described as a segment, number 0.
            segments = {
                int(n): _segment(segmentation.get_segment_description(n)) for n in segmentation.segment_numbers if n
            }
        except Exception as error:  # of damaged files pydicom and highdicom raise nearly everything
            raise InputError(_why_unread(header, error)) from None
    names = {number: segment.name for number, segment in segments.items()}
    facts: dict[str, Any] = {SEGMENTS: names, CODED: coded_organs(segments), "cropped": True}
    if frame := header.text(tags.FRAME_OF_REFERENCE):
        facts["frame of reference"] = frame
    return Volume(np.asarray(volume.array), _geometry(volume), path.name.removesuffix(".dcm"), facts)


def _why_unread(header: DicomHeader, error: Exception) -> str:
    """What is wrong with a DICOM SEG that highdicom does not read, and what to do."""
    if header.text(tags.SEGMENTATION_TYPE) == "FRACTIONAL":
        return (
            f"{header.path}: is a fractional DICOM SEG, which gives a share for each voxel and no label; export the "
            "segmentation as a binary one"
        )
    if header.elements.is_big_endian:
        return (
            f"{header.path}: is a DICOM SEG in big-endian byte order, which is not read; convert it (DCMTK: "
            "dcmconv +te) or export it again"
        )
    return f"{header.path}: is not a DICOM SEG that can be read as a label map ({reason_without_quotes(error)[:200]})"


def _geometry(volume: Any) -> Geometry:
    """highdicom's index axes are ours, [Z, Y, X], and its world is DICOM's, LPS; ITK's order is x, y, z."""
    slices, rows, columns = volume.spatial_shape
    direction = np.array(volume.direction)[:, ::-1]
    return Geometry(
        (columns, rows, slices),
        tuple(float(s) for s in volume.spacing[::-1]),  # type: ignore[arg-type]
        tuple(float(p) for p in volume.position),  # type: ignore[arg-type]
        tuple(tuple(float(v) for v in row) for row in direction),  # type: ignore[arg-type]
    )


def segments_of(path: Path) -> dict[str, int]:
    """The numbers of a DICOM SEG's segments by their labels, and by the organs that are meant by other labels.

    Errors as of `read_dicom_seg`.
    """
    facts = read_dicom_seg(path).metadata
    names = facts[SEGMENTS]
    return {name: number for found in (organs_meant(names, facts[CODED]), names) for number, name in found.items()}


def _segment(description: Any) -> Segment:
    kind = description.SegmentedPropertyTypeCodeSequence[0]
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence") or ()
    coded = organ_of_codes(_term(kind), _term(sides[0]) if sides else ()) if len(sides) < 2 else None
    return Segment(str(description.segment_label), coded)


def _term(item: Any) -> tuple[str, str]:
    """Scheme and value of an item of a code sequence."""
    return str(item.get("CodingSchemeDesignator") or ""), str(item.get("CodeValue") or "")


def _libraries() -> tuple[Any, Any]:
    require("DICOM SEG", "dicom", "highdicom", "pydicom")
    import highdicom
    import pydicom

    return highdicom, pydicom


def _complete(dataset: Any, path: Path, slice_distance: float) -> None:
    """Give attributes that may be empty, and that tools which hide names delete, an empty value; text as UTF-8.

    Where the thickness of the slices is not said, the segments are as thick as their voxels.
    """
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _MAY_BE_EMPTY:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    if not dataset.get("SliceThickness"):
        dataset.SliceThickness = f"{slice_distance:.9g}"
    for keyword in _NEEDED:
        if not dataset.get(keyword):
            raise OutputError(f"{path}: the DICOM images have no {keyword}, a DICOM SEG needs it; write .seg.nrrd")


def _made(path: Path, source: Volume, numbered: np.ndarray, descriptions: list[Any]) -> Any:
    """The DICOM SEG of the source's images. Neither warnings nor errors quote what the files hold."""
    files = list(source.metadata["dicom_files"])
    highdicom, pydicom = _libraries()
    order = source.metadata.get("frame_order")
    with quiet():
        try:
            # A file without preamble is one too; `force` takes it.
            datasets = [pydicom.dcmread(file, stop_before_pixels=True, force=True) for file in files]
            if len(datasets) > 1 and any("NumberOfFrames" in dataset for dataset in datasets):
                raise OutputError(f"{path}: a DICOM SEG can refer to one Enhanced file only; write .seg.nrrd instead")
            for dataset in datasets:
                _complete(dataset, path, source.geometry.spacing[2])
            if order is not None:
                keep_frames(datasets[0], order)
            segmentation = _segmentation(highdicom, datasets, numbered, descriptions)
            if order is not None:
                refer_to_frames(segmentation, order)
            put_on_grid(segmentation, source.geometry)
            return segmentation
        except OutputError:
            raise
        except Exception as error:  # of files that break the standard pydicom and highdicom raise nearly everything
            message = (
                f"{path}: the DICOM images do not allow a DICOM SEG ({reason_without_quotes(error)}); write .seg.nrrd"
            )
            raise OutputError(message) from None


def _segmentation(highdicom: Any, datasets: list[Any], numbered: np.ndarray, descriptions: list[Any]) -> Any:
    return highdicom.seg.Segmentation(
        source_images=datasets,
        pixel_array=numbered,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=highdicom.UID(),
        series_number=int(datasets[0].get("SeriesNumber") or 0) + 1000,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        **EQUIPMENT,
        series_description="LiverMRISeg segmentation, for research use only",
    )


def _description(highdicom: Any, number: int, organ: Organ) -> Any:
    codes = highdicom.sr.CodedConcept
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="LiverMRISeg", version=__version__, family=codes("123110", "DCM", "Artificial Intelligence")
    )
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=organ.title,
        segmented_property_category=codes(
            ANATOMICAL_STRUCTURE.value, ANATOMICAL_STRUCTURE.scheme, ANATOMICAL_STRUCTURE.meaning
        ),
        segmented_property_type=codes(organ.type_code.value, organ.type_code.scheme, organ.type_code.meaning),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    description.RecommendedDisplayCIELabValue = cielab(organ.color)
    if organ.side is not None:
        side = codes(organ.side.value, organ.side.scheme, organ.side.meaning)
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return description
