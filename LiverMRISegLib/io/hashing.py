"""The hash of a file's content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from LiverMRISegLib.errors import InputError


def hash_of(file: Path) -> str:
    """sha256 in hexadecimal digits; InputError if the file cannot be read."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()
