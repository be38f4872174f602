"""One claim on a folder that a run writes to: no other run at the same time, no leftovers of one that was killed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from LiverMRISegLib.errors import OutputError, UsageError
from LiverMRISegLib.io.atomic import make_folder
from LiverMRISegLib.io.leftovers import remove_leftovers

logger = logging.getLogger(__name__)
LOCK = ".in_use.lock"
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
# The system's locks tell processes apart, not the threads of one.
_held: set[Path] = set()
_guard = threading.Lock()


@contextlib.contextmanager
def claimed_folder(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if it is missing, for the length of the block; leftovers of a killed run are removed first.

    The system holds the lock for this process and releases it when the process ends, however it ends.

    Raises:
        UsageError: another run holds it.
        OutputError: it cannot be made.
    """
    folder = Path(folder).resolve()
    make_folder(folder)
    with _guard:
        if folder in _held:
            raise _in_use(folder, f"process {os.getpid()}")
        _held.add(folder)
    try:
        handle = _locked(folder)
        try:
            remove_leftovers(folder)
            yield
        finally:
            _release(folder / LOCK, handle)
    finally:
        with _guard:
            _held.discard(folder)


def _locked(folder: Path) -> int:
    """The open lock file of `folder`, which no other process holds."""
    path = folder / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
        try:
            _lock(handle)
        except OSError as error:
            holder = os.read(handle, 200).decode("utf-8", "replace").strip()
            os.close(handle)
            if error.errno in _TAKEN:
                raise _in_use(folder, holder) from error
            raise OutputError(f"{path}: cannot be locked ({error.strerror}); choose another folder") from error
        if _is_same(handle, path):
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return handle
        os.close(handle)  # its holder removed it between our opening and our locking


def _in_use(folder: Path, holder: str) -> UsageError:
    return UsageError(
        f"{folder}: another run is writing there ({holder or 'unknown'}); wait until it ends, or choose another folder"
    )


def _lock(handle: int) -> None:
    """Lock an open file for this process, or raise OSError at once; a file system without locks is warned of."""
    if sys.platform == "win32":
        import msvcrt

        # Windows keeps others from reading what is locked: far behind the text.
        os.lseek(handle, 2**20, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
        return
    import fcntl

    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise
        logger.warning("this file system has no locks: start no second run in the same folder")


def _is_same(handle: int, path: Path) -> bool:
    """Whether `path` is still the open file; Windows does not let anybody remove it."""
    if sys.platform == "win32":
        return True
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _release(path: Path, handle: int) -> None:
    with contextlib.suppress(OSError):
        if sys.platform != "win32":
            path.unlink()
    os.close(handle)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):  # another run may hold it by now
            path.unlink()
