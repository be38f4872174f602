"""What all importers share: folders that must be there, and numbered files that belong together."""

from __future__ import annotations

import re
from pathlib import Path

from LiverMRISegLib.errors import InputError

_NOT_HERE = "is a link to a file that is not here; fetch it first (git annex get, datalad get)"


def folder(path: Path, data_set: str) -> Path:
    """`path` if it is a folder; InputError says that the layout is another one."""
    if not path.is_dir():
        problem = "is not a folder" if path.exists() else "is not there"
        raise InputError(f"{path}: {problem}; give the folder of {data_set} as it was unpacked")
    return path


def why_missing(path: Path) -> str:
    """Why a file that has a name in a folder is not there, in words; "" if it has none."""
    return _NOT_HERE if path.is_symlink() and not path.exists() else ""


def files_by_number(path: Path, pattern: str) -> dict[str, Path]:
    """The files of a folder whose whole name matches `pattern`, by its first group, in the order of their numbers."""
    found = {m[1]: file for file in path.iterdir() if (m := re.fullmatch(pattern, file.name))}
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def some(files: dict[str, Path], where: Path, expected: str) -> dict[str, Path]:
    """`files`, of which there must be one at least."""
    if not files:
        raise InputError(f"{where}: contains no file like {expected}; the layout is another one, or it was renamed")
    return files
