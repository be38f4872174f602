"""A table over time for every 4D file, or DICOM series of several volumes, whose frames were segmented."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from LiverMRISegLib.commands.case_result import SKIPPED, CaseResult
from LiverMRISegLib.commands.frames import name_without_frame
from LiverMRISegLib.errors import InputError


def write_tables(results: Sequence[CaseResult]) -> list[Path]:
    """Write NAME_frames.csv beside the results of each: a line a frame, a column an organ, in mL.

    A frame that was skipped has what an earlier table of that name says of it.

    Raises:
        OutputError: it cannot be written there.
    """
    from LiverMRISegLib.io.atomic import atomic_write_text
    from LiverMRISegLib.io.tables import csv_table

    of_volumes: dict[tuple[Path, str | None], list[CaseResult]] = {}
    for result in results:
        if result.case.frame is not None:
            of_volumes.setdefault((result.case.source, result.case.series), []).append(result)
    written = []
    for own in of_volumes.values():
        if len(own) == 1 or not any(result.volumes_ml for result in own):  # all skipped, or failed
            continue
        path = own[0].case.output.with_name(f"{name_without_frame(own[0].case.name)}_frames.csv")
        atomic_write_text(path, csv_table(*_table(own, _earlier(path))))
        written.append(path)
    return written


def _earlier(path: Path) -> dict[str, dict[str, str]]:
    """The rows of the table of an earlier call, by frame; none if there is none that can be read."""
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return {row["frame"]: row for row in rows if row.get("frame")}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        return {}


def _table(
    results: Sequence[CaseResult], earlier: Mapping[str, Mapping[str, str]]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows. "seconds" since the first is empty where the images do not say; "volume" is there if they do."""
    from LiverMRISegLib.io.read import Frame, list_frames

    try:
        frames = list_frames(results[0].case.source, results[0].case.series)
    except InputError:
        frames = []
    organs = list(dict.fromkeys(organ for result in results for organ in result.volumes_ml))
    scored = list(dict.fromkeys(organ for result in results for organ in result.trust))
    is_told = any(frame.words for frame in frames)
    header = [
        "frame",
        *(["volume"] if is_told else []),
        "seconds",
        "status",
        *(f"{o} mL" for o in organs),
        *(f"{o} trust" for o in scored),
        "flags",
        "error",
    ]
    rows = []
    for result in results:
        number = result.case.frame or 1
        frame = frames[number - 1] if number <= len(frames) else Frame()
        time = "" if frame.seconds is None else f"{frame.seconds:g}"
        volumes = [f"{result.volumes_ml[organ]:.3f}" if organ in result.volumes_ml else "" for organ in organs]
        trust = [f"{result.trust[organ]:.3f}" if organ in result.trust else "" for organ in scored]
        told = [frame.words] if is_told else []
        said = ["; ".join(result.flags), result.error]
        row = [str(number), *told, time, result.status, *volumes, *trust, *said]
        if result.status == SKIPPED:
            own = earlier.get(str(number), {})
            row = [value or own.get(title) or "" for title, value in zip(header, row, strict=True)]
        rows.append(row)
    return header, rows
