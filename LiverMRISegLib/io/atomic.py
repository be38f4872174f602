"""Writing files whole or not at all: a temporary file in the same folder, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from LiverMRISegLib.errors import OutputError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending, that replaces `path` when the block ends well.

    When the block raises, the temporary file is removed and `path` is as it was before.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = _reserve(path)
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


def check_writable(path: Path) -> None:
    """Ask, before long work, whether `path` can be written after it: OutputError as `atomic_path`."""
    _reserve(path).unlink()


def atomic_write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; OutputError as `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all; OutputError as `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """Make the folder `path` of `files` ("name" or "folder/name"), whole or not at all; it must not exist or be empty.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    path = Path(path).resolve()
    if path == Path.cwd():  # to be replaced whole, it would vanish under the user's feet
        raise OutputError(f"{path}: is the folder you are in; name a new one")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path}: exists already; remove it or choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    try:
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(temporary / name, content)
        temporary.chmod(0o777 & ~_umask())
        if path.is_dir():  # Windows replaces no folder, not even an empty one
            path.rmdir()
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _reserve(path: Path) -> Path:
    """An empty temporary file beside `path`; its name keeps the ending, since writers choose the format by it."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give the name of a file")
    name, dot, ending = path.name.partition(".")
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=f".{name[:40]}.", suffix=f".tmp{dot}{ending[-40:]}", dir=path.parent
        )
    except FileNotFoundError as error:
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    os.close(handle)
    return Path(temporary)


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
