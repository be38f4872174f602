"""--report of `segment` and `demo`: the cases are collected, and one HTML file is written at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverMRISegLib.commands.case_result import DONE, CaseResult
from LiverMRISegLib.commands.plan import SegmentCase, SegmentPlan
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.file_names import resolved

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmentation import Segmentation
    from LiverMRISegLib.volume import Volume


class Report:
    """Collects the cases of --report; does nothing without the option."""

    def __init__(self, path: Path | None, plan: SegmentPlan) -> None:
        self.path = path
        self._cases: list[Any] = []
        if path is None:
            return
        if path.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"--report {path}: a report is an HTML file; its name must end with .html")
        if resolved(path) in {resolved(p) for case in plan.cases for p in case.files}:
            raise UsageError(f"--report {path} is also an input or an output; choose another name")
        require_report_libraries()

    @property
    def files(self) -> list[Path]:
        """The file that will be written, if any."""
        return [self.path] if self.path else []

    @property
    def is_written(self) -> bool:
        """Whether a report was written."""
        return self.path is not None and bool(self._cases)

    def add(self, case: SegmentCase, volume: Volume, segmentation: Segmentation) -> None:
        """Add a case to the report."""
        if self.path is not None:
            from LiverMRISegLib.evaluation.report import ReportCase

            self._cases.append(ReportCase.of(case.name, volume, segmentation))

    def add_flags(self, said: Mapping[str, Sequence[str]]) -> None:
        """Add flags that came up later to cases, by name."""
        self._cases = [replace(case, flags=[*case.flags, *said.get(case.name, ())]) for case in self._cases]

    def write(self, results: Sequence[CaseResult] = ()) -> None:
        """Write the report if there is a case to show; it names those of `results` that it does not show."""
        if self.path is not None and self._cases:
            from LiverMRISegLib.evaluation.report import write_report

            missing = [
                f"{one.case.name}: {one.status}, {one.error or 'its result exists'}"
                for one in results
                if one.status != DONE
            ]
            write_report(self.path, self._cases, missing)


def require_report_libraries() -> None:
    """UsageError if the libraries of the `report` extra are not installed."""
    from LiverMRISegLib.extras import require

    require("a report", "report", "matplotlib", "jinja2")
