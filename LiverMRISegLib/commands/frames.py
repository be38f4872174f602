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

    What cannot be read stays one source, which then fails with the reason.
    """
    if frame is None:
        return list(sources)
    if frame != ALL:
        return [replace(source, frame=int(frame)) for source in sources]
    return [made for source in sources for made in _one_by_one(source)]


def _one_by_one(source: Source) -> list[Source]:
    from LiverMRISegLib.io.read import list_frames

    try:
        count = len(list_frames(source.files[0], source.series))
    except InputError:
        count = 1
    if count == 1:
        return [source]
    width = max(2, len(str(count)))
    return [replace(source, name=f"{source.name}_frame_{n:0{width}d}", frame=n) for n in range(1, count + 1)]


def name_without_frame(name: str) -> str:
    """The name of the source of which `name` is a frame's."""
    return re.sub(r"_frame_\d{2,}$", "", name)
