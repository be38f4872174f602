"""4D files at the command line: one of their frames as a case, or all of them, with a table over time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.errors import InputError, UsageError

if TYPE_CHECKING:
    from LiverMRISegLib.commands.segment import CaseResult

ALL = "all"
Named = tuple[str, tuple[Path, ...]]


def frame_option(text: str) -> str:
    """The value of --frame: a number from 1, or "all"."""
    if text.lower() == ALL:
        return ALL
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10**6):
        raise argparse.ArgumentTypeError(f"'{text}' is not a frame; give a number from 1, or all")
    return str(int(text))


def with_frames(cases: Sequence[Named], frame: str | None) -> list[tuple[str, tuple[Path, ...], int | None]]:
    """The cases (name, images) with their frame; with "all", a case for every frame of a 4D file.

    A file that cannot be read stays one case, which then fails with the reason.
    """
    if frame is None:
        return [(name, files, None) for name, files in cases]
    if not any(file.is_file() for _, files in cases for file in files):
        raise UsageError(f"--frame {frame}: only a file has frames to choose from; omit --frame")
    if frame != ALL:
        return [(name, files, None if files[0].is_dir() else int(frame)) for name, files in cases]
    return [made for name, files in cases for made in _one_by_one(name, files)]


def _one_by_one(name: str, files: tuple[Path, ...]) -> list[tuple[str, tuple[Path, ...], int | None]]:
    from LiverMRISegLib.io.read import count_frames

    try:
        count = count_frames(files[0])
    except InputError:
        count = 1
    if count == 1:
        return [(name, files, None)]
    width = max(2, len(str(count)))
    return [(f"{name}_frame_{number:0{width}d}", files, number) for number in range(1, count + 1)]


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
