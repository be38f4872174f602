"""The hash of a file's or a folder's content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from LiverMRISegLib.errors import InputError


def hash_of(path: Path) -> str:
    """sha256 of a file, or of the names and contents of a folder's files (a DICOM series), in hexadecimal digits.

    Raises:
        InputError: it cannot be read.
    """
    if not path.is_dir():
        return _hash_of_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()):
        digest.update(f"{file.name}\0{_hash_of_file(file)}".encode())
    return digest.hexdigest()


def _hash_of_file(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()
