"""Temporary files and folders beside what they will replace, each locked for as long as its writer lives."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.file_names import why_impossible

# `tempfile` draws eight characters.
_TEMPORARY = re.compile(r"\..*\.[a-z0-9_]{8}\.tmp(\..*)?")
# Its own words, without a number of the system, where a file took only the first of them.
_SHORT_OF_NUMPY = re.compile(r"\d+ requested and \d+ written")


def temporaries(parent: Path) -> Iterator[Path]:
    """The temporary files and folders in `parent`, by their names; none where `parent` is missing."""
    for path in parent.glob(".*.tmp*") if parent.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name) is not None:
            yield path


def temporary_file(path: Path) -> contextlib.AbstractContextManager[Path]:
    """An empty file beside `path`, which is gone after the block unless it was renamed.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    return _held(lambda: reserve_file(path))


def temporary_folder(path: Path) -> contextlib.AbstractContextManager[Path]:
    """An empty folder beside `path`, which is gone after the block unless it was renamed.

    Raises:
        OSError: it cannot be made.
    """
    return _held(lambda: Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)))


@contextlib.contextmanager
def _held(reserve: Callable[[], Path]) -> Iterator[Path]:
    """What `reserve` makes, locked; made once more where another process removed it before it was locked."""
    temporary = reserve()
    held = lock(temporary)
    if held is None or not temporary.exists():
        unlock(held)
        remove(temporary)
        temporary = reserve()
        held = lock(temporary)
    try:
        yield temporary
    finally:
        remove(temporary)
        unlock(held)


def reserve_file(path: Path) -> Path:
    """An empty temporary file beside `path`; its name keeps the ending, since writers choose the format by it.

    Raises:
        OutputError: as in `temporary_file`.
    """
    check_possible(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give the name of a file")
    name, dot, ending = path.name.partition(".")
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=f".{name[:40]}.", suffix=f".tmp{dot}{ending[-40:]}", dir=path.parent
        )
    except FileNotFoundError as error:
        if path.parent.is_dir():  # such as /proc
            raise OutputError(f"{path}: cannot be written; choose another folder") from error
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first") from error
    except OSError as error:
        raise cannot_be_written(path, error) from error
    os.close(handle)
    return Path(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder as far as the system lets us; it may be missing."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def lock(path: Path) -> int | None:
    """An open handle of a file or folder with the system's lock; None where that is locked already or cannot be."""
    try:
        import fcntl
    except ImportError:  # Windows, where an open file could not be replaced either
        return None
    handle = None
    try:
        if not path.is_dir() and not path.is_file():
            return None
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        unlock(handle)
        return None
    return handle


def unlock(handle: int | None) -> None:
    """Close what `lock` opened."""
    if handle is not None:
        os.close(handle)


def flush(path: Path) -> None:
    """fsync a file, or a folder where the system can (it cannot on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """The permissions that new files of this process do not get; temporary ones are made without regard to it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_possible(path: Path) -> None:
    """OutputError where no file or folder can have this name."""
    reason = why_impossible(path)
    if reason:
        shown = "".join(c if c.isprintable() else "?" for c in str(path))
        raise OutputError(f"{shown[:150]}: {reason}; choose another one")


def cannot_be_written(path: Path, error: OSError) -> OutputError:
    """The error of ours for the system's, with the remedy where there is one."""
    return OutputError(f"{path}: cannot be written ({_reason(error)})")


def _reason(error: OSError) -> str:
    cause = error.__cause__ or error.__context__
    if error.errno is None and isinstance(cause, OSError):  # wrapped by a library, with its own traceback as text
        return _reason(cause)
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    if error.errno is None and _SHORT_OF_NUMPY.fullmatch(str(error)):
        return "not all of it could be written; free some space"
    return error.strerror or " ".join(str(error).split())
