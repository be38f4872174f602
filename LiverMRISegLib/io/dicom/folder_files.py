"""The files of a DICOM folder, and those that were meant to be: links, packed and empty files, pointers.

An image that is left out at the end of a series would be missed by nobody: the rest is a sound volume of less.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom.elements import is_dicom_file
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS
from LiverMRISegLib.io.pointers import is_pointer

DIRECTORY = "DICOMDIR"
_ENDINGS, _PACKERS = (".dcm", ".ima", ".dicom"), (".gz", ".bz2", ".xz", ".zst")
_MOST_FILES = 200_000


def is_medium(folder: Path) -> bool:
    """Whether the folder is a CD or the like, with a DICOMDIR."""
    return any(path.name.upper() == DIRECTORY and path.is_file() for path in folder.iterdir())


def dicom_files(folder: Path) -> Iterator[Path]:
    """The DICOM files in `folder`, without hidden ones; beside a DICOMDIR, those in its sub-folders too."""
    return (path for path in _files(folder) if is_dicom_file(path))


def no_longer_dicom(folder: Path) -> list[Path]:
    """Files that were DICOM by their names, and are empty or something else now.

    Also empty ones that are called as the images beside them are.
    """
    others = [path for path in _files(folder) if not is_dicom_file(path)]
    if not others:
        return []
    endings = {path.suffix.lower() for path in dicom_files(folder)}
    return [path for path in others if _was_dicom(path, endings)]


def has_lost_files(folder: Path) -> bool:
    """Whether there are files that were DICOM. Stray ones beside volumes of other formats do not count."""
    if _missing(folder):
        return True
    if any(path.name.lower().endswith(VOLUME_ENDINGS) for path in folder.iterdir()):
        return False
    return bool(_packed(folder) or no_longer_dicom(folder))


def refuse_lost_files(folder: Path) -> None:
    """InputError that says how to get DICOM files that are only links, pointers or packed."""
    for path in _missing(folder):
        raise InputError(f"{path}: is a link to a file that is not here; fetch it first (git annex get, datalad get)")
    for path in no_longer_dicom(folder):
        if is_pointer(path):
            raise InputError(f"{path}: is only a pointer to the file; fetch it first (git lfs pull, git annex get)")
    for path in _packed(folder):
        raise InputError(f"{folder}: has packed DICOM files, the first is {path.name}; unpack them (gunzip) first")


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    paths = sorted(folder.rglob("*") if is_medium(folder) else folder.iterdir())
    for path in paths[:_MOST_FILES]:
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and path.name.upper() != DIRECTORY and path.is_file():
            yield path


def _was_dicom(path: Path, endings: set[str]) -> bool:
    ending = path.suffix.lower()
    return ending in _ENDINGS or (ending in endings and (path.stat().st_size == 0 or is_pointer(path)))


def _packed(folder: Path) -> list[Path]:
    """DICOM files that were packed one by one."""
    return [path for path in _files(folder) if path.suffix.lower() in _PACKERS and path.stem.lower().endswith(_ENDINGS)]


def _missing(folder: Path) -> list[Path]:
    """Links in `folder` to images that are not here."""
    if not folder.is_dir():
        return []
    links = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in _ENDINGS and path.is_symlink())
    return [path for path in links if not path.exists() and not path.name.startswith(".")]
