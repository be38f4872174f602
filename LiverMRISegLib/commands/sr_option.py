"""--sr of `segment`: beside every DICOM SEG a DICOM SR with what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.commands.plan import SegmentCase, SegmentPlan
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.file_names import resolved

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmentation import Segmentation
    from LiverMRISegLib.volume import Volume

_SEGMENTATION, _REPORT = "_seg", "_sr"


class SrOption:
    """Writes the DICOM SR of each case; does nothing without the option."""

    def __init__(self, is_wanted: bool, plan: SegmentPlan) -> None:
        self._is_wanted = is_wanted
        if is_wanted and any(case.output.suffix.lower() != ".dcm" for case in plan.cases):
            raise UsageError("--sr: a DICOM SR refers to a DICOM SEG; let OUT end with .dcm, or add --format dcm")
        taken = {resolved(file) for case in plan.cases for file in case.files}
        clash = next((path for path in map(_report_of, plan.cases) if resolved(path) in taken), None)
        if is_wanted and clash:
            raise UsageError(f"--sr: {clash} is also an input or an output; choose another output")
        self.files = [_report_of(case) for case in plan.cases] if is_wanted else []

    def add(self, case: SegmentCase, volume: Volume, segmentation: Segmentation) -> None:
        """Measure a case whose DICOM SEG was written."""
        if self._is_wanted:
            segmentation.save_measurements(_report_of(case), dicom_seg=case.output)


def _report_of(case: SegmentCase) -> Path:
    """NAME_sr.dcm for NAME_seg.dcm or NAME.dcm."""
    name = case.output.stem
    base = name[: -len(_SEGMENTATION)] if name.endswith(_SEGMENTATION) and name != _SEGMENTATION else name
    return case.output.with_name(f"{base}{_REPORT}.dcm")
