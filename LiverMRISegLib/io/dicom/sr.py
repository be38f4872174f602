"""DICOM SR: figures of organs as a Measurement Report (PS3.16, TID 1500) that refers to a DICOM SEG (highdicom)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, Code
from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.extras import require
from LiverMRISegLib.io.atomic import atomic_path
from LiverMRISegLib.io.dicom.elements import read_elements
from LiverMRISegLib.io.dicom.equipment import EQUIPMENT
from LiverMRISegLib.io.dicom.quiet import quiet, reason_without_quotes
from LiverMRISegLib.version import __version__

_IMAGING_PROCEDURE = Code("363679005", "Imaging procedure")
_COMMENT = Code("121106", "Comment", "DCM")


@dataclass(frozen=True)
class Figure:
    """A measured value: of what, in which unit (UCUM), and how it was derived and measured."""

    name: Code
    value: float
    unit: Code
    derivation: Code | None = None
    method: Code | None = None


@dataclass(frozen=True)
class Group:
    """Figures of one structure: of a segment of the DICOM SEG, or where `segment` is None of several together."""

    title: str
    structure: Code
    side: Code | None
    segment: int | None
    figures: Sequence[Figure]
    remarks: Sequence[str] = ()


def write_dicom_sr(path: Path, segmentation: Path, groups: Sequence[Group], parameters: Sequence[str] = ()) -> None:
    """Write a Comprehensive 3D SR about the segments of a DICOM SEG, in its study.

    Args:
        path: of the report.
        segmentation: the DICOM SEG, which the report refers to, with the series that was segmented.
        groups: what was measured; those without figures are left out.
        parameters: in words, how maps were measured.

    Raises:
        UsageError: highdicom is not installed.
        InputError: `segmentation` is damaged or not a DICOM SEG.
        OutputError: there is nothing to report, or it cannot be written there.
    """
    require("DICOM SR", "dicom", "highdicom", "pydicom")
    source = _dicom_seg(segmentation)
    if not any(group.figures for group in groups):
        raise OutputError(f"{path}: nothing was measured, and a DICOM SR cannot be empty; write .csv instead")
    with quiet():
        try:
            report = _report(source, [group for group in groups if group.figures], parameters)
        except Exception as error:  # of files that break the standard pydicom and highdicom raise nearly everything
            message = f"{path}: the DICOM SEG does not allow a DICOM SR ({reason_without_quotes(error)}); write .csv"
            raise OutputError(message) from None
        with atomic_path(path) as temporary:
            report.save_as(str(temporary))


def _dicom_seg(path: Path) -> Any:
    import pydicom

    read_elements(path)
    with quiet():
        try:
            source = pydicom.dcmread(path, stop_before_pixels=True)
        except Exception:
            raise InputError(f"{path}: cannot be read as a DICOM SEG; write it again") from None
    if source.get("Modality") != "SEG":
        raise InputError(f"{path}: is not a DICOM SEG; give the segmentation that was measured")
    return source


def _report(source: Any, groups: Sequence[Group], parameters: Sequence[str]) -> Any:
    import highdicom

    device = highdicom.sr.DeviceObserverIdentifyingAttributes(
        uid=highdicom.UID(), name="LiverMRISeg", manufacturer_name="LiverMRISeg", model_name="livermriseg"
    )
    observer = highdicom.sr.ObserverContext(
        observer_type=_concept(Code("121007", "Device", "DCM")), observer_identifying_attributes=device
    )
    content = highdicom.sr.MeasurementReport(
        observation_context=highdicom.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=_concept(_IMAGING_PROCEDURE),
        imaging_measurements=[_group(source, group, parameters) for group in groups],
    )
    return highdicom.sr.Comprehensive3DSR(
        evidence=[source],
        content=content,
        is_complete=True,
        series_instance_uid=highdicom.UID(),
        series_number=int(source.get("SeriesNumber") or 0) + 1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        **EQUIPMENT,
        series_description="LiverMRISeg measurements, for research use only",
    )


def _group(source: Any, group: Group, parameters: Sequence[str]) -> Any:
    import highdicom

    sr = highdicom.sr
    described: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=highdicom.UID(), identifier=group.title),
        "finding_category": _concept(ANATOMICAL_STRUCTURE),
        "finding_type": _concept(group.structure),
        "finding_sites": [sr.FindingSite(_concept(group.structure), laterality=_concept(group.side))],
        "algorithm_id": sr.AlgorithmIdentification("LiverMRISeg", __version__, parameters or None),
        "measurements": [_measurement(figure) for figure in group.figures],
    }
    made: Any
    if group.segment is None:
        made = sr.MeasurementsAndQualitativeEvaluations(**described)
    else:
        series = sr.SourceSeriesForSegmentation(source.ReferencedSeriesSequence[0].SeriesInstanceUID)
        segment = sr.ReferencedSegment(
            source.SOPClassUID,
            source.SOPInstanceUID,
            group.segment,
            source_series=series,
        )
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **described)
    for remark in group.remarks:
        made[0].ContentSequence.append(
            sr.TextContentItem(_concept(_COMMENT), remark, sr.RelationshipTypeValues.CONTAINS)
        )
    return made


def _measurement(figure: Figure) -> Any:
    import highdicom

    return highdicom.sr.Measurement(
        name=_concept(figure.name),
        value=float(f"{figure.value:.7g}"),
        unit=_concept(figure.unit),
        derivation=_concept(figure.derivation),
        method=_concept(figure.method),
    )


def _concept(code: Code | None) -> Any:
    import highdicom

    return None if code is None else highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)
