"""The models on this computer: brought in from a file, measured, taken away."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from LiverMRISegLib.errors import ModelError, OutputError, UsageError
from LiverMRISegLib.models.catalog import FOLDER_VARIABLE, CatalogEntry, list_models, user_folder
from LiverMRISegLib.models.package import ModelPackage

_NAME = re.compile(r'[^.\\/:*?"<>|\x00-\x1f][^\\/:*?"<>|\x00-\x1f]*')


def import_package(source: Path, name: str | None = None, *, replace: bool = False) -> CatalogEntry:
    """Copy a package, a folder or .zip, to the user's models once it was found whole.

    Args:
        source: the package; it stays as it is.
        name: of the model here; its own where none is given.
        replace: take the place of a model that was imported under the same name before.

    Raises:
        ModelError: no package, or damaged.
        UsageError: `name` is none for a folder, or a model of that name was imported before.
        OutputError: no space, or no permission.
    """
    package = ModelPackage.load(source)
    package.verify()
    if name is None and not is_model_name(package.spec.name):
        raise ModelError(f"{source}: its name '{package.spec.name}' cannot be a folder's; give it another one")
    name = package.spec.name if name is None else name
    old = _imported(name) if replace and is_model_name(name) else None
    if old is None:
        check_new_name(name)
    target = user_folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=target.parent) as folder:
            _copy(source, Path(folder) / "new")
            _put(Path(folder) / "new", target, old, Path(folder) / "old")
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror or error}); free some space, or choose another folder by "
            f"the environment variable {FOLDER_VARIABLE}"
        ) from error
    return CatalogEntry(name, target, False)


def is_model_name(name: str) -> bool:
    """Whether a folder can have this name on every system, without leading out of its parent or looking like a .zip."""
    return _NAME.fullmatch(name) is not None and not name.lower().endswith(".zip")


def check_new_name(name: str) -> None:
    """Ask whether a model can be brought in by this name.

    Raises:
        UsageError: it is none for a folder, or a model of that name was imported before.
    """
    if not is_model_name(name):
        raise UsageError(f"'{name}' is no name for a model; use letters, digits, - and _")
    if _imported(name) is not None:
        raise UsageError(f"a model '{name}' was imported before; remove it first or give this one another name")


def _imported(name: str) -> Path | None:
    return next((entry.path for entry in list_models() if entry.name == name and not entry.is_shipped), None)


def _copy(source: Path, folder: Path) -> None:
    """The package's files without their permissions: what lies on a read-only stick can be removed later."""
    if not source.is_dir():
        shutil.unpack_archive(source, folder, "zip")  # its names and sizes were checked when it was loaded
        return
    folder.mkdir()
    for file in source.iterdir():
        if not file.name.startswith("."):
            shutil.copyfile(file, folder / file.name)


def _put(new: Path, target: Path, old: Path | None, aside: Path) -> None:
    """Move `new` to its place and the old model out of it; the old one comes back if that fails."""
    if old is not None:
        old.replace(aside)
    try:
        new.replace(target)
    except OSError:
        if old is not None:
            aside.replace(old)
        raise


def remove_model(name: str) -> None:
    """Delete an imported model.

    Raises:
        UsageError: no such model, or it came with the installation.
        OutputError: no permission.
    """
    entry = next((e for e in list_models() if e.name == name), None)
    if entry is None or entry.is_shipped:
        raise UsageError(f"{name}: {'came with LiverMRISeg and stays' if entry else 'no such model'}")
    try:
        shutil.rmtree(entry.path) if entry.path.is_dir() else entry.path.unlink()
    except OSError as error:
        raise OutputError(f"{entry.path}: cannot be removed ({error.strerror})") from error


def size_mb(entry: CatalogEntry) -> float:
    """What a model takes on disk, in megabytes."""
    files = entry.path.rglob("*") if entry.path.is_dir() else [entry.path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
