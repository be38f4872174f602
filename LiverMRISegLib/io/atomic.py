"""Writing files and folders whole or not at all: a temporary one beside the target, fsync, rename.

A kill leaves the old one or the new one, and perhaps hidden leftovers beside it: temporary ones, which
`remove_leftovers` deletes, and a folder that was put aside to be replaced, which `recover_folder` brings back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.file_names import resolved, why_impossible

Existing = Literal["refuse", "replace", "keep"]
# Of temporary files and folders: `tempfile` draws eight characters.
_TEMPORARY = re.compile(r"\..*\.[a-z0-9_]{8}\.tmp(\..*)?")
_ATTEMPTS = 10


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, that replaces `path` when the block ends well.

    When the block raises, the temporary file is removed and `path` is as it was before.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary, held = _reserve_and_hold(path)
    try:
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        with contextlib.suppress(OSError):  # the file is in place; some network folders cannot be flushed
            _flush(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        temporary.unlink(missing_ok=True)
        _let_go(held)


def check_writable(path: Path) -> None:
    """Ask, before long work, whether `path` can be written after it: OutputError as in `atomic_path`."""
    _reserve(path).unlink()


def atomic_write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; OutputError as in `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all; OutputError as in `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


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
    _check_possible(Path(path))
    path = resolved(Path(path))
    if path == Path.cwd():  # to be replaced whole, it would vanish under the user's feet
        raise OutputError(f"{path}: is the folder you are in; name a new one")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        recover_folder(path)
        if existing == "refuse":
            _refuse(path)
        temporary, held = _reserve_folder_and_hold(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        temporary.chmod(0o777 & ~_umask())
        _put_in_place(temporary, path, existing)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _let_go(held)


def remove_folder(path: Path) -> None:
    """Delete a folder so that it is there whole or not at all, also after a kill.

    Raises:
        OSError: no permission; then it is there as before.
    """
    path = Path(path)
    recover_folder(path)
    doomed, held = _reserve_folder_and_hold(path)
    try:
        path.replace(doomed / path.name)
    finally:
        shutil.rmtree(doomed, ignore_errors=True)
        _let_go(held)


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


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary files and folders that a kill left in `parent`, where no process may be writing now."""
    recover_folders(parent)
    for path in parent.glob(".*.tmp*") if parent.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name) is None:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def remove_stale_files(parent: Path) -> None:
    """Remove the temporary files and folders that killed processes left in `parent`, where others may be writing now.

    Whoever writes one holds the system's lock on it, which ends with the process: a file of our form that can be locked
    has no writer. Where the system has no such locks (Windows, some network folders), nothing is removed.
    """
    for path in parent.glob(".*.tmp*") if parent.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name) is None or path.is_symlink():
            continue
        held = _hold(path)
        if held is not None and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif held is not None:
            with contextlib.suppress(OSError):
                path.unlink()
        _let_go(held)


def _reserve_and_hold(path: Path) -> tuple[Path, int | None]:
    """See both; once more where `remove_stale_files` of another process came between them."""
    temporary = _reserve(path)
    held = _hold(temporary)
    if held is None or not temporary.exists():
        _let_go(held)
        temporary.unlink(missing_ok=True)
        temporary = _reserve(path)
        held = _hold(temporary)
    return temporary, held


def _reserve_folder_and_hold(path: Path) -> tuple[Path, int | None]:
    """As `_reserve_and_hold`, an empty folder beside `path`."""

    def reserve() -> Path:
        """A new folder of a name that nobody has."""
        return Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent))

    temporary = reserve()
    held = _hold(temporary)
    if held is None or not temporary.exists():
        _let_go(held)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary = reserve()
        held = _hold(temporary)
    return temporary, held


def _hold(path: Path) -> int | None:
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
        _let_go(handle)
        return None
    return handle


def _let_go(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


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
        _flush(path.parent)
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
    doomed = Path(tempfile.mkdtemp(prefix=f".{aside.name[1:40]}.", suffix=".tmp", dir=aside.parent))
    with contextlib.suppress(FileNotFoundError):
        aside.replace(doomed / aside.name)
    shutil.rmtree(doomed, ignore_errors=True)


def _reserve(path: Path) -> Path:
    """An empty temporary file beside `path`; its name keeps the ending, since writers choose the format by it."""
    _check_possible(path)
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
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    os.close(handle)
    return Path(temporary)


def _check_possible(path: Path) -> None:
    reason = why_impossible(path)
    if reason:
        shown = "".join(c if c.isprintable() else "?" for c in str(path))
        raise OutputError(f"{shown[:150]}: {reason}; choose another one")


def _flush(path: Path) -> None:
    """fsync a file, or a folder where the system can (it cannot on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    cause = error.__cause__ or error.__context__
    if error.errno is None and isinstance(cause, OSError):  # wrapped by a library, with its own traceback as text
        return _reason(cause)
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    return error.strerror or " ".join(str(error).split())
