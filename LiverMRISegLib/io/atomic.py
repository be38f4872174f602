"""Writing a file whole or not at all: a temporary one beside it, fsync, rename. `atomic_folder` does so for folders.

A kill leaves the old file or the new one, and perhaps a hidden temporary one beside it, which `leftovers` removes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from LiverMRISegLib.io.temporary import cannot_be_written, check_possible, flush, reserve_file, temporary_file, umask


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, that replaces `path` when the block ends well.

    When the block raises, the temporary file is removed and `path` is as it was before.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    try:
        with temporary_file(path) as temporary:
            yield temporary
            flush(temporary)
            temporary.chmod(0o666 & ~umask())
            temporary.replace(path)
            with contextlib.suppress(OSError):  # the file is in place; some network folders cannot be flushed
                flush(path.parent)
    except OSError as error:
        raise cannot_be_written(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing; OutputError where it cannot be made."""
    check_possible(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(path, error) from error


def check_writable(path: Path) -> None:
    """Ask, before long work, whether `path` can be written after it: OutputError as in `atomic_path`."""
    reserve_file(path).unlink()


def atomic_write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; OutputError as in `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all; OutputError as in `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
