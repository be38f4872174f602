"""4D files at the command line: one of their frames as a case, or all of them, a case each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from LiverMRISegLib.errors import InputError, UsageError

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
