"""A table over time for every 4D file whose frames were segmented."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from LiverMRISegLib.commands.case_result import CaseResult
from LiverMRISegLib.errors import InputError


def write_tables(results: Sequence[CaseResult]) -> list[Path]:
    """Write NAME_frames.csv beside the results of every 4D file: a line a frame, a column an organ, in mL.

    Raises:
        OutputError: it cannot be written there.
    """
    from LiverMRISegLib.io.atomic import atomic_write_text
    from LiverMRISegLib.io.file_names import name_of
    from LiverMRISegLib.io.tables import csv_table

    of_files: dict[Path, list[CaseResult]] = {}
    for result in results:
        if result.case.frame is not None:
            of_files.setdefault(result.case.source, []).append(result)
    written = []
    for source, own in of_files.items():
        if len(own) == 1 or not any(result.volumes_ml for result in own):  # all skipped, or failed
            continue
        organs = list(dict.fromkeys(organ for result in own for organ in result.volumes_ml))
        path = own[0].case.output.with_name(f"{name_of(source)}_frames.csv")
        atomic_write_text(path, csv_table(_header(organs), _rows(source, own, organs)))
        written.append(path)
    return written


def _header(organs: Sequence[str]) -> list[str]:
    return ["frame", "seconds", "status", *(f"{organ} mL" for organ in organs), "flags", "error"]


def _rows(source: Path, results: Sequence[CaseResult], organs: Sequence[str]) -> list[list[str]]:
    """A row for each frame; "seconds" since the first is empty where the file does not say."""
    step = _seconds_a_frame(source)
    rows = []
    for result in results:
        number = result.case.frame or 1
        time = "" if step is None else f"{(number - 1) * step:g}"
        volumes = [f"{result.volumes_ml[organ]:.3f}" if organ in result.volumes_ml else "" for organ in organs]
        rows.append([str(number), time, result.status, *volumes, "; ".join(result.flags), result.error])
    return rows


def _seconds_a_frame(source: Path) -> float | None:
    from LiverMRISegLib.io.headers import read_header

    try:
        step: float | None = read_header(source).metadata.get("seconds a frame")
    except InputError:
        return None
    return step
