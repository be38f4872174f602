"""The models on this computer: brought in from a file, measured, taken away."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from LiverMRISegLib.errors import ModelError, OutputError, UsageError
from LiverMRISegLib.models.catalog import CatalogEntry, list_models, user_folder
from LiverMRISegLib.models.package import ModelPackage


def import_package(source: Path) -> CatalogEntry:
    """Copy a package, a folder or .zip, to the user's models under its own name, once it was found whole.

    Raises:
        ModelError: no package, or damaged.
        UsageError: a model of that name was imported before.
        OutputError: no space, or no permission.
    """
    package = ModelPackage.load(source)
    package.verify()
    name = package.spec.name
    if Path(name).name != name or name.startswith("."):
        raise ModelError(f"{source}: its name '{name}' cannot be a folder's; get the model again")
    if any(entry.name == name and not entry.is_shipped for entry in list_models()):
        raise UsageError(f"a model '{name}' was imported before; remove it first")
    target = user_folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=target.parent) as folder:
            copy = Path(folder) / name
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".*"))
            else:
                shutil.unpack_archive(source, copy, "zip")  # its names and sizes were checked when it was loaded
            copy.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror}); free some space") from error
    return CatalogEntry(name, target, False)


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
