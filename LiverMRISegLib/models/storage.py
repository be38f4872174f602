"""The bytes of a model package, from a folder or a zip: entry by entry, with the names and sizes checked first."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path

from LiverMRISegLib.errors import ModelError

SPECIFICATION = "model.json"
LARGEST_SPECIFICATION = 16 * 1024**2
LARGEST_WEIGHTS = 8 * 1024**3
_WEIGHTS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors")
_REMEDY = "do not use this file; get the model from a source you trust"


def read_files(path: Path) -> dict[str, bytes]:
    """Every file of the package at `path` by name.

    Raises:
        ModelError: not a package, a name or a size that a package does not have.
    """
    return _read(path, everything=True)


def read_specification(path: Path) -> bytes:
    """Only the package's model.json, as fast for a large package as for a small one; errors as `read_files`."""
    return _read(path, everything=False)[SPECIFICATION]


def _read(path: Path, everything: bool) -> dict[str, bytes]:
    if path.is_dir():
        return _from_folder(path, everything)
    if not path.exists():
        raise ModelError(f"{path}: no such model; 'livermriseg models list' shows what is there")
    try:
        with zipfile.ZipFile(path) as archive:
            return _from_zip(archive, path, everything)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ModelError(f"{path}: is no model package (a folder or .zip with {SPECIFICATION}): {error}") from error


def _from_folder(path: Path, everything: bool) -> dict[str, bytes]:
    files = {}
    for file in sorted(path.iterdir()):
        if file.name.startswith("."):  # what file managers leave behind
            continue
        _check_name(file.name, path)
        if not file.is_file() or file.is_symlink():
            raise ModelError(f"{path}: '{file.name}' is no plain file; {_REMEDY}")
        _check_size(file.name, file.stat().st_size, path)
        if everything or file.name == SPECIFICATION:
            files[file.name] = file.read_bytes()
    return _complete(files, path)


def _from_zip(archive: zipfile.ZipFile, path: Path, everything: bool) -> dict[str, bytes]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ModelError(f"{path}: holds an entry twice; {_REMEDY}")
    for entry in entries:
        _check_name(entry.filename, path)
        _check_size(entry.filename, entry.file_size, path)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ModelError(f"{path}: '{entry.filename}' is a link; {_REMEDY}")
    wanted = [entry for entry in entries if everything or entry.filename == SPECIFICATION]
    return _complete({entry.filename: _unpacked(archive, entry, path) for entry in wanted}, path)


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> bytes:
    """One entry, reading no more than its header announces: a header that lies is caught by size or checksum."""
    with archive.open(entry) as stream:
        content = stream.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise ModelError(f"{path}: '{entry.filename}' has not the size it announces; {_REMEDY}")
    return content


def _complete(files: dict[str, bytes], path: Path) -> dict[str, bytes]:
    if SPECIFICATION not in files:
        raise ModelError(f"{path}: is no model package, {SPECIFICATION} is missing; give a folder or .zip that has it")
    return files


def _check_name(name: str, path: Path) -> None:
    if name != SPECIFICATION and not _WEIGHTS_NAME.fullmatch(name):
        raise ModelError(
            f"{path}: '{name}' does not belong in a package ({SPECIFICATION} and *.safetensors only); {_REMEDY}"
        )


def _check_size(name: str, size: int, path: Path) -> None:
    limit = LARGEST_SPECIFICATION if name == SPECIFICATION else LARGEST_WEIGHTS
    if size > limit:
        raise ModelError(f"{path}: '{name}' has {size / 1024**3:.1f} GiB, more than a package may hold; {_REMEDY}")
