"""Small files that stand for large ones elsewhere: what Git LFS and git-annex leave of a file that was not fetched."""

from __future__ import annotations

from pathlib import Path

_BEGINNINGS = (b"version https://git-lfs.github.com/spec/", b"/annex/objects/")


def is_pointer(path: Path) -> bool:
    """Whether the file is a pointer and not the file itself."""
    try:
        with path.open("rb") as file:
            return file.read(64).startswith(_BEGINNINGS)
    except OSError:
        return False
