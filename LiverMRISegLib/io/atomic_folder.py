"""Writing a folder whole or not at all: a temporary one beside it, fsync, rename; the old one is put aside meanwhile.

A kill leaves the old folder or the new one, and perhaps hidden ones beside it: temporary ones, which `leftovers`
removes, and the old one put aside, which `recover_folder` brings back.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.file_names import resolved
from LiverMRISegLib.io.temporary import cannot_be_written, check_possible, flush, temporary_folder, umask

Existing = Literal["refuse", "replace", "keep"]
_ATTEMPTS = 10


@contextlib.contextmanager
def atomic_folder(path: Path, existing: Existing = "refuse") -> Iterator[Path]:
    """A temporary folder beside `path`, to be filled, that takes its place when the block ends well.

    When the block raises, the temporary folder is removed and `path` is as it was before.

    Args:
        path: of the folder.
        existing: what becomes of a folder that is there already and not empty: "refuse" is an error; "replace" makes
            the new one take its place; "keep" keeps it (two processes may make the same folder at once).

    Raises:
        OutputError: it exists and must not, or cannot be written.
    """
    check_possible(Path(path))
    path = resolved(Path(path))
    if path == Path.cwd():  # to be replaced whole, it would vanish under the user's feet
        raise OutputError(f"{path}: is the folder you are in; name a new one")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        recover_folder(path)
        if existing == "refuse":
            _refuse(path)
        with temporary_folder(path) as temporary:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    flush(file)
            temporary.chmod(0o777 & ~umask())
            _put_in_place(temporary, path, existing)
    except OSError as error:
        raise cannot_be_written(path, error) from error


def atomic_write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """Make the folder `path` of `files` ("name" or "folder/name"), whole or not at all; it must not exist or be empty.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    with atomic_folder(path) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
    return resolved(Path(path))


def remove_folder(path: Path) -> None:
    """Delete a folder so that it is there whole or not at all, also after a kill.

    Raises:
        OSError: no permission; then it is there as before.
    """
    path = Path(path)
    recover_folder(path)
    with temporary_folder(path) as doomed:
        path.replace(doomed / path.name)


def recover_folder(path: Path) -> None:
    """Bring back what a kill left aside of a folder that was being replaced; whoever reads such a folder asks first."""
    aside = _aside(path)
    with contextlib.suppress(OSError):  # another process may be quicker, or this one may not write there
        if not aside.exists():
            return
        if path.exists():
            _discard(aside)
        else:
            aside.replace(path)


def recover_folders(parent: Path) -> None:
    """`recover_folder` for all folders in `parent`."""
    for aside in parent.glob(".*.old"):
        recover_folder(parent / aside.name[1 : -len(".old")])


def _put_in_place(new: Path, path: Path, existing: Existing) -> None:
    """Rename `new` to `path`, again where another process was quicker with a folder of its own."""
    for attempt in range(_ATTEMPTS):
        with contextlib.suppress(OSError):  # another process may be quicker
            if path.is_dir() and not any(path.iterdir()):  # Windows replaces no folder, not even an empty one
                path.rmdir()
        if path.exists() and existing == "keep":
            return
        if existing == "refuse":
            _refuse(path)
        try:
            _put_aside(path)
            new.replace(path)
            break
        except OSError as error:
            is_taken = path.exists() or error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if not is_taken or attempt == _ATTEMPTS - 1:
                recover_folder(path)
                raise
    with contextlib.suppress(OSError):  # the folder is in place; some network folders cannot be flushed
        flush(path.parent)
    recover_folder(path)


def _refuse(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path}: exists already; remove it or choose another name")


def _put_aside(path: Path) -> None:
    """Out of the way of its successor, under the name that `recover_folder` looks for."""
    aside = _aside(path)
    if path.exists() and aside.exists():
        _discard(aside)
    with contextlib.suppress(FileNotFoundError):  # there was none, or another process was quicker
        path.replace(aside)


def _aside(path: Path) -> Path:
    return path.parent / f".{path.name}.old"


def _discard(aside: Path) -> None:
    """Remove a folder that was put aside. First it gets another name: half removed, it must not be brought back."""
    with temporary_folder(aside) as doomed, contextlib.suppress(FileNotFoundError):
        aside.replace(doomed / aside.name)
