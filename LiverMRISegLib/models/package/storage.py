"""The files of a model package, a folder or a .zip: names and sizes are checked before anything is read."""

from __future__ import annotations

import hashlib
import math
import mmap
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.atomic_folder import recover_folder
from LiverMRISegLib.models.package.tensors import NUMBER_TYPES, TensorPlace, read_tensor_places

SPECIFICATION = "model.json"
LARGEST_SPECIFICATION = 4 * 1024**2
LARGEST_WEIGHTS = 8 * 1024**3
_WEIGHTS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors")
_REMEDY = "do not use this file; get the model from a source you trust"
# Where a training's folder has its package, and what it has before.
_MODEL_OF_A_RUN, _CHECKPOINTS_OF_A_RUN = "model", "checkpoints"
_PLANS, _CHECKPOINT_ENDINGS = ("plans.json", "plans.pkl"), (".model", ".pt", ".pth", ".ckpt")
_CONVERT = "'livermriseg models import --help' says how"
_PIECE = 2**22
# Weights are close to noise: what is much smaller when packed was made to fill a disk.
_MOST_PACKED, _SMALL = 100, 2**26

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
    elif path.suffix.lower() in _CHECKPOINT_ENDINGS and path.exists():
        raise _what_else_it_is(path)
    else:
        changed = path.stat().st_mtime_ns if path.exists() else 0
        with _archive(path) as archive:
            found = tuple((entry.filename, entry.file_size, changed) for entry in _entries(archive, path))
    if SPECIFICATION not in (name for name, _, _ in found):
        raise _what_else_it_is(path)
    return found


def _what_else_it_is(path: Path) -> ModelError:
    """The error for what has no model.json: where its package is, or what makes one of it."""
    package = path / _MODEL_OF_A_RUN
    if path.suffix.lower() in _CHECKPOINT_ENDINGS and path.is_file():
        words = f"is a checkpoint, not a model package; convert it: {_CONVERT}"
    elif any((path / name).exists() for name in _PLANS):
        words = f"is a model of nnU-Net, not a model package; convert it: {_CONVERT}"
    elif (package / SPECIFICATION).is_file():
        words = f"is not a model package, but contains one; give {package}"
    elif (path / _CHECKPOINTS_OF_A_RUN).is_dir():
        words = f"is the folder of a training that has not ended; its model will be {package}"
    else:
        words = f"is not a model package: {SPECIFICATION} is missing; give a folder or .zip that has it"
    return ModelError(f"{path}: {words}")


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


def places(path: Path, name: str) -> dict[str, TensorPlace]:
    """The tensors of a weights file by name: only its header is read.

    Raises:
        ModelError: the file does not contain safetensors.
    """
    size = next(size for found, size, _ in stamp(path) if found == name)
    with _safetensors(path, name), _opened(path, name) as file:
        return read_tensor_places(file, size)


def read_tensors(path: Path, name: str, prefix: str = "") -> dict[str, np.ndarray]:
    """The tensors of a weights file whose names begin with `prefix`. Errors: see `places`."""
    wanted = {key: place for key, place in places(path, name).items() if key.startswith(prefix)}
    tensors: dict[str, np.ndarray] = {}
    with _safetensors(path, name), _opened(path, name) as file:
        for key, place in sorted(wanted.items(), key=lambda item: item[1].start):
            file.seek(place.start)  # forwards only: a .zip need not be unpacked again
            tensors[key] = _array(bytearray(file.read(place.size)), place)
    return tensors


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
    wanted = places(path, name)
    with _safetensors(path, name), (path / name).open("rb") as file:
        # A private mapping: OpenVINO only shares arrays that it may write to. It does not, so nothing is copied.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        tensors = {key: _array(content, place, place.start) for key, place in wanted.items() if key.startswith(prefix)}
    yield tensors
    content.madvise(mmap.MADV_DONTNEED)


def _array(content: bytearray | mmap.mmap, place: TensorPlace, start: int = 0) -> np.ndarray:
    kind = NUMBER_TYPES.get(place.kind)
    if kind is None:
        raise ValueError(f"a tensor is of type {place.kind}, known are {', '.join(NUMBER_TYPES)}")
    return np.frombuffer(content, kind, math.prod(place.shape), start).reshape(place.shape)


@contextmanager
def _safetensors(path: Path, name: str) -> Iterator[None]:
    """Errors of a weights file in words."""
    try:
        yield
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ModelError(f"{path}/{name}: is not a safetensors file ({error}); get the model again") from error


def _folder_stamp(path: Path) -> Stamp:
    if not (path / SPECIFICATION).exists():
        raise _what_else_it_is(path)
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
    folder = _packed_folder(names)
    if folder:
        raise ModelError(f"{path}: its files are in a folder, '{folder}'; unpack it and give that folder")
    for entry in entries:
        _check_name(entry.filename, path)
        _check_size(entry.filename, entry.file_size, path)
        if entry.file_size > max(_SMALL, _MOST_PACKED * entry.compress_size):
            raise ModelError(
                f"{path}: '{entry.filename}' would be {entry.file_size / 1024**3:.1f} GiB when unpacked, more than "
                f"{_MOST_PACKED} times its packed size; {_REMEDY}"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ModelError(f"{path}: '{entry.filename}' is a link; {_REMEDY}")
    return entries


def _packed_folder(names: Sequence[str]) -> str:
    """The folder with a package that was packed, and not its files (macOS puts files of its own beside it); else ""."""
    folders = {name.partition("/")[0] for name in names} - {"__MACOSX"}
    folder = folders.pop() if len(folders) == 1 else ""
    is_plain = bool(folder.strip(".")) and ".." not in "".join(names)
    return folder if is_plain and f"{folder}/{SPECIFICATION}" in names else ""


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
