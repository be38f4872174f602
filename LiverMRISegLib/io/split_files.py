"""Voxels in files of their own, which NRRD and MetaImage headers name, list, or give a pattern with numbers for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.stored import beside, shortened
from LiverMRISegLib.io.volume_header import whole_numbers

# One number, and nothing else that a program in C would take for an instruction.
_PATTERN = re.compile(r"(?P<before>[^%]*)%(?P<zero>0?)(?P<width>\d{0,2})d(?P<after>[^%]*)", re.ASCII)
_MOST_FILES = 20_000


def voxel_files(header: Path, named: str, lines: Sequence[str]) -> tuple[Path, ...]:
    """The files with the voxels, all in the folder of `header`.

    Args:
        header: the file that names them.
        named: what it says: a name, "LIST" (and the axis that is split, which follows from the sizes), or a pattern
            and its numbers (from, to, step).
        lines: what follows "LIST" in the header.

    Raises:
        InputError: they are elsewhere, or one is missing, or their names are not to be understood.
    """
    words = named.split()
    if words and words[0].upper() == "LIST":
        return _listed(header, lines)
    return _numbered(header, words[0], words[1:4]) if "%" in named else (beside(header, named),)


def _listed(header: Path, lines: Sequence[str]) -> tuple[Path, ...]:
    names = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(names) <= _MOST_FILES:
        raise InputError(f"{header}: lists {len(names)} files with its voxels; export it again")
    return tuple(beside(header, name) for name in names)


def _numbered(header: Path, pattern: str, numbers: Sequence[str]) -> tuple[Path, ...]:
    """The files of a pattern such as "slice%03d.raw"."""
    found = _PATTERN.fullmatch(pattern)
    values = whole_numbers(header, "files", " ".join(numbers)) if numbers else []
    if found is None or not 2 <= len(values) <= 3:
        raise InputError(
            f"{header}: names the files with its voxels by a pattern that is not known: {shortened(pattern)}; "
            "export it as one file"
        )
    first, last, step = (*values, 1)[:3]
    if step < 1 or not first <= last < first + _MOST_FILES * step:
        raise InputError(f"{header}: numbers its files from {first} to {last} by {step}; export it as one file")
    fill = "0" if found["zero"] else " "
    return tuple(
        beside(header, f"{found['before']}{str(number).rjust(int(found['width'] or 0), fill)}{found['after']}")
        for number in range(first, last + 1, step)
    )
