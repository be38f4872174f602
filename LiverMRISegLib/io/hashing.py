"""The hash of a file's or a folder's content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.headers import files_of


def hash_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal digits.

    Of several files that are one image, a header beside its voxels or a folder with a DICOM series, of their names and
    contents.

    Raises:
        InputError: it cannot be read.
    """
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else files_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if list(files) == [path]:
        return _hash_of_file(path)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{_hash_of_file(file)}".encode())
    return digest.hexdigest()


def hash_of_files(files: Sequence[Path]) -> str:
    """sha256 of the contents of files, whatever they are called and in whatever order; InputError as `hash_of`."""
    return hashlib.sha256("".join(sorted(map(_hash_of_file, files))).encode()).hexdigest()


def _hash_of_file(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()
