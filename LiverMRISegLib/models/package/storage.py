"""The files of a model package, a folder or a .zip: names and sizes are checked before anything is read."""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.atomic import recover_folder

SPECIFICATION = "model.json"
LARGEST_SPECIFICATION = 16 * 1024**2
LARGEST_WEIGHTS = 8 * 1024**3
_WEIGHTS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors")
_REMEDY = "do not use this file; get the model from a source you trust"
_PIECE = 2**22
_NUMBER_TYPES = {"F32": "<f4", "F16": "<f2"}

# Name, size in bytes and time of the last change of each file.
Stamp = tuple[tuple[str, int, float], ...]


def stamp(path: Path) -> Stamp:
    """The contents of the package at `path`; the same value as long as nothing in it changes.

    Raises:
        ModelError: it is not a package, or a file has a name or size that is not allowed.
    """
    recover_folder(path)
    if path.is_dir():
        found = _folder_stamp(path)
    else:
        changed = path.stat().st_mtime_ns if path.exists() else 0
        with _archive(path) as archive:
            found = tuple((entry.filename, entry.file_size, changed) for entry in _entries(archive, path))
    if SPECIFICATION not in (name for name, _, _ in found):
        raise ModelError(
            f"{path}: is not a model package: {SPECIFICATION} is missing; give a folder or .zip that has it"
        )
    return found


def read_specification(path: Path) -> bytes:
    """The package's model.json alone, as fast for a large package as for a small one. Errors: see `stamp`."""
    stamp(path)
    with _opened(path, SPECIFICATION) as file:
        return file.read()


def hashes(path: Path) -> dict[str, str]:
    """The sha256 of every weights file, read piece by piece. Errors: see `stamp`."""
    found = {}
    for name, size, _ in stamp(path):
        if name != SPECIFICATION:
            with _opened(path, name) as file:
                found[name] = _sha256(file, size, f"{path}: '{name}'")
    return found


def read_tensors(path: Path, name: str, prefix: str = "") -> dict[str, np.ndarray]:
    """The tensors of a weights file whose names begin with `prefix`.

    Raises:
        ModelError: the file does not contain safetensors.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import load

    try:
        if path.is_dir():
            with safe_open(path / name, "np") as file:
                return {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        with _opened(path, name) as packed:
            return {key: array for key, array in load(packed.read()).items() if key.startswith(prefix)}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}/{name}: is not a safetensors file ({error}); get the model again") from error


@contextmanager
def mapped_tensors(path: Path, name: str, prefix: str = "") -> Iterator[dict[str, np.ndarray]]:
    """Like `read_tensors`, but for a folder the tensors are views of the file, which take no memory of their own.

    On leaving, the memory of what was read is given back to the system. The views stay valid: using one later reads the
    file again. Where the system cannot do this (Windows, where it would also stop the file from being deleted), the
    tensors are read into memory.
    """
    if not path.is_dir() or not hasattr(mmap, "MADV_DONTNEED"):
        yield read_tensors(path, name, prefix)
        return
    try:
        with (path / name).open("rb") as file:
            # A private mapping: OpenVINO only shares arrays that it may write to. It does not, so nothing is copied.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        names = [key for key in header if key != "__metadata__" and key.startswith(prefix)]
        tensors = {key: _view(content, 8 + length, header[key]) for key in names}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}/{name}: is not a safetensors file ({error}); get the model again") from error
    yield tensors
    content.madvise(mmap.MADV_DONTNEED)


def _view(content: mmap.mmap, start: int, entry: dict[str, Any]) -> np.ndarray:
    first, last = entry["data_offsets"]
    kind = _NUMBER_TYPES[entry["dtype"]]
    count = math.prod(entry["shape"])
    if last - first != count * np.dtype(kind).itemsize:
        raise ValueError("the size of a tensor does not fit its shape")
    return np.frombuffer(content, kind, count, start + first).reshape(entry["shape"])


def _folder_stamp(path: Path) -> Stamp:
    found = []
    for file in sorted(path.iterdir()):
        if file.name.startswith("."):  # left behind by file managers
            continue
        _check_name(file.name, path)
        if not file.is_file() or file.is_symlink():
            raise ModelError(f"{path}: '{file.name}' is not a regular file; {_REMEDY}")
        status = file.stat()
        _check_size(file.name, status.st_size, path)
        found.append((file.name, status.st_size, status.st_mtime_ns))
    return tuple(found)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.exists():
        raise ModelError(f"{path}: no such model; 'livermriseg models list' shows all models")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ModelError(f"{path}: is not a model package (a folder or .zip with {SPECIFICATION}): {error}") from error


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """A file of the package, for reading."""
    if path.is_dir():
        with (path / name).open("rb") as file:
            yield file
    else:
        with _archive(path) as archive, archive.open(name) as entry:
            yield entry


def _entries(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ModelError(f"{path}: contains an entry twice; {_REMEDY}")
    for entry in entries:
        _check_name(entry.filename, path)
        _check_size(entry.filename, entry.file_size, path)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ModelError(f"{path}: '{entry.filename}' is a link; {_REMEDY}")
    return entries


def _sha256(file: IO[bytes], size: int, what: str) -> str:
    """The hash of a file that should have `size` bytes. Reads at most one piece more, to notice a wrong size."""
    digest, left = hashlib.sha256(), size
    while left >= 0 and (piece := file.read(_PIECE)):
        digest.update(piece)
        left -= len(piece)
    if left != 0:
        raise ModelError(f"{what} does not have the size that it claims; {_REMEDY}")
    return digest.hexdigest()


def _check_name(name: str, path: Path) -> None:
    if name != SPECIFICATION and not _WEIGHTS_NAME.fullmatch(name):
        raise ModelError(
            f"{path}: '{name}' does not belong in a package ({SPECIFICATION} and *.safetensors only); {_REMEDY}"
        )


def _check_size(name: str, size: int, path: Path) -> None:
    limit = LARGEST_SPECIFICATION if name == SPECIFICATION else LARGEST_WEIGHTS
    if size > limit:
        raise ModelError(f"{path}: '{name}' has {size / 1024**3:.1f} GiB, more than a package may contain; {_REMEDY}")
