"""What some tests need beside the library. Without it they are skipped, and the summary says how many and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pytest

from helpers.places import DATA

WHAT_A_MODULE_IS_FOR = {
    "PySide6": "the panel in Qt",
    "slicer": "slicer-core",
    "vtk": "slicer-core",
    "openvino": "OpenVINO",
    "snakemake": "the workflows",
    "pydicom": "DICOM",
    "highdicom": "DICOM",
}
_IMPORT = re.compile(r"could not import '(\w+)[\w.]*': (.*)", re.DOTALL)
_KIND = re.compile(r"of (.+?): (.*)", re.DOTALL)


def real_images(*names: str) -> pytest.MarkDecorator:
    """For tests of the files or folders `names` of ../shared/data."""
    absent = next((f"../shared/data/{name}" for name in names if not (DATA / name).exists()), "")
    why = absent if DATA.is_dir() else "../shared/data"
    return pytest.mark.skipif(bool(absent), reason=f"of real images: {why} is not here")


def lines_on_skipped(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """Such as "12 tests of real images skipped: ../shared/data is not here", the most first.

    A file that is skipped before its tests are known counts as a file.
    """
    counted: dict[tuple[str, str], Counter[str]] = {}
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        unit = "file" if report.when == "collect" else "test"
        counted.setdefault(_kind_and_why(reason.removeprefix("Skipped: ")), Counter())[unit] += 1
    lines = [(sum(units.values()), _line(units, *key)) for key, units in counted.items()]
    return [line for _, line in sorted(lines, key=lambda pair: -pair[0])]


def _kind_and_why(reason: str) -> tuple[str, str]:
    if found := _IMPORT.match(reason):
        return WHAT_A_MODULE_IS_FOR.get(found[1], found[1]), found[2]
    found = _KIND.match(reason)
    return (found[1], found[2]) if found else ("", reason)


def _line(units: Counter[str], kind: str, why: str) -> str:
    parts = [f"{n} {unit}{'s' if n > 1 else ''}" for unit, n in sorted(units.items(), reverse=True)]
    return f"{' and '.join(parts)}{f' of {kind}' if kind else ''} skipped: {why}"
