"""4D files and DICOM series of several volumes at the command line: one of their frames as a case, or each of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace

from LiverMRISegLib.commands.inputs import ALL, Source
from LiverMRISegLib.errors import InputError


def frame_option(text: str) -> str:
    """The value of --frame: a number from 1, or "all"."""
    if text.lower() == ALL:
        return ALL
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10**6):
        raise argparse.ArgumentTypeError(f"'{text}' is not a frame; give a number from 1, or all")
    return str(int(text))


def with_frames(sources: Sequence[Source], frame: str | None) -> list[Source]:
    """The sources with their frame; with "all", one for every frame of a 4D file or a DICOM series of several volumes.

    Of several frames each is named by its number, so that no result is taken for that of another frame. What cannot be
    read, or does not have the frame, stays one source, which then fails with the reason.
    """
    if frame is None:
        return list(sources)
    if frame != ALL:
        return [_of_frame(source, int(frame), _count(source)) for source in sources]
    return [made for source in sources for made in _one_by_one(source)]


def _one_by_one(source: Source) -> list[Source]:
    count = _count(source)
    return [source] if count == 1 else [_of_frame(source, number, count) for number in range(1, count + 1)]


def _of_frame(source: Source, number: int, count: int) -> Source:
    if count == 1 or number > count:
        return replace(source, frame=number)
    width = max(2, len(str(count)))
    return replace(source, name=f"{source.name}_frame_{number:0{width}d}", frame=number)


def _count(source: Source) -> int:
    """Of its frames; 1 if it cannot be read."""
    from LiverMRISegLib.io.read import list_frames

    try:
        return len(list_frames(source.files[0], source.series))
    except InputError:
        return 1


def name_without_frame(name: str) -> str:
    """The name of the source of which `name` is a frame's."""
    return re.sub(r"_frame_\d{2,}$", "", name)
