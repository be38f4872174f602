"""The models on this computer: listed, found by name, imported from a package, removed."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import math
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from LiverMRISegLib.errors import LiverMRISegError, ModelError, OutputError, UsageError
from LiverMRISegLib.io.atomic_folder import atomic_folder, recover_folder, recover_folders, remove_folder
from LiverMRISegLib.io.leftovers import remove_stale_files
from LiverMRISegLib.models.package.model_package import ModelPackage, load_spec
from LiverMRISegLib.models.package.specification import NNUNET, ModelSpec
from LiverMRISegLib.models.package.storage import SPECIFICATION
from LiverMRISegLib.networks.registry import parameter_shapes
from LiverMRISegLib.resources import resource_folder

logger = logging.getLogger(__name__)
CATALOG = "catalog.json"
FOLDER_VARIABLE = "LIVERMRISEG_MODELS"
# A folder of this name can be made on every system, and does not lead out of its parent.
_SHOWN_CHARACTERS, _NAME_BYTES = 150, 150
_NAME = re.compile(r'[^.\\/:*?"<>|\x00-\x1f][^\\/:*?"<>|\x00-\x1f]*')


@dataclass(frozen=True)
class CatalogEntry:
    """A model by name. `is_shipped`: it came with the installation; `summary`: what it is for, in one line."""

    name: str
    path: Path
    is_shipped: bool
    summary: str = ""


def user_folder() -> Path:
    """Where imported models go: $LIVERMRISEG_MODELS, else the platform's place for a program's data."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", "~/.local/share"))
    return base.expanduser() / "livermriseg" / "models"


def folder_for_imports() -> Path:
    """`user_folder`, without what killed imports left there."""
    folder = user_folder()
    remove_stale_files(folder)
    return folder


def list_models() -> list[CatalogEntry]:
    """All models by name; a model of the user replaces a shipped one of the same name."""
    entries: dict[str, CatalogEntry] = {}
    for name, summary in _shipped().items():
        entries[name] = CatalogEntry(name, resource_folder() / "models" / name, True, summary)
    folder = user_folder()
    recover_folders(folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):  # left behind by an import that was killed
            continue
        if _is_package(path):
            name = path.stem if path.is_file() else path.name
            entries[name] = CatalogEntry(name, path, False)
    return sorted(entries.values(), key=lambda entry: entry.name)


def _is_package(path: Path) -> bool:
    try:
        return (path / SPECIFICATION).is_file() or (path.is_file() and path.suffix.lower() == ".zip")
    except OSError:  # a folder that may not be read
        return False


def size_mb(entry: CatalogEntry) -> float:
    """The size of a model on disk in megabytes."""
    files = entry.path.rglob("*") if entry.path.is_dir() else [entry.path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _shipped() -> dict[str, str]:
    """Name and summary of every model in Resources, as catalog.json lists them."""
    path = resource_folder() / "models" / CATALOG
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {str(entry["name"]): str(entry["summary"]) for entry in document["models"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); install livermriseg again") from error


def find_model(name_or_path: str | Path) -> Path:
    """The package for a name of the catalog or a path.

    Raises:
        ModelError: there is none; the message lists the models.
    """
    entries = {entry.name: entry.path for entry in list_models()}
    if str(name_or_path) in entries:
        return entries[str(name_or_path)]
    path = Path(name_or_path)
    with contextlib.suppress(OSError, ValueError):  # too long, or not a path at all: then there is nothing there
        recover_folder(path)
        if path.exists():
            return path
    near = difflib.get_close_matches(str(name_or_path), entries, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"models: {', '.join(entries) or 'none'}"
    raise ModelError(f"{_short(name_or_path)}: no model has this name, and there is no package at this path; {hint}")


def _short(name: str | Path) -> str:
    text = str(name)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def load_model(name_or_path: str | Path) -> ModelPackage:
    """Find and load a model. Raises ModelError: see `find_model` and `ModelPackage.load`."""
    return ModelPackage.load(find_model(name_or_path))


def smaller_model(spec: ModelSpec) -> ModelPackage | None:
    """The largest model of the catalog that is smaller than the model of `spec` and can replace it.

    It takes the same inputs, has all the organs (its label values may differ), may be mirrored along the same axes, and
    is not damaged. None for an nnU-Net model: whoever imports one wants the result of that model and no other.
    """
    if spec.preparation.scheme == NNUNET:
        return None
    size = _parameters(spec)
    fitting = [
        (parameters, path)
        for other, parameters, path in _usable_specs()
        if other.modality == spec.modality
        and set(other.sequences) >= set(spec.sequences)
        and len(other.preparation.images) == len(spec.preparation.images)
        and set(other.labels.organs) >= set(spec.labels.organs)
        and set(other.inference.mirror_axes) >= set(spec.inference.mirror_axes)
        and parameters < size
    ]
    for _, path in sorted(fitting, reverse=True):
        try:
            return load_model(path)
        except ModelError as error:
            logger.warning("%s", error)
    return None


def _usable_specs() -> list[tuple[ModelSpec, int, Path]]:
    """All models whose network can be built here: a package may come from a newer version of this library."""
    found = []
    for entry in list_models():
        try:
            spec = load_spec(entry.path)
            found.append((spec, _parameters(spec), entry.path))
        except (LiverMRISegError, OSError) as error:
            logger.warning("%s: cannot be used (%s)", entry.path, error)
    return found


def _parameters(spec: ModelSpec) -> int:
    shapes = parameter_shapes(spec.network.name, spec.network.kwargs)
    return sum(math.prod(shape) for shape in shapes.values())


def import_package(source: Path, name: str | None = None, *, replace: bool = False) -> CatalogEntry:
    """Check a package, a folder or .zip, and copy it to the user's models.

    Args:
        source: the package; it is not changed.
        name: of the model on this computer; by default its own.
        replace: replace a model that was imported under the same name before, or stand in for a shipped one.

    Raises:
        ModelError: it is not a package, or it is damaged.
        UsageError: `name` cannot be used, or a model of that name was imported before or came with LiverMRISeg.
        OutputError: no space, or no permission.
    """
    package = ModelPackage.load(source)
    package.verify()
    if name is None and not is_model_name(package.spec.name):
        raise ModelError(
            f"{source}: its name '{package.spec.name}' cannot be used as a folder name; give it another one"
        )
    name = package.spec.name if name is None else name
    old = _imported(name) if replace and is_model_name(name) else None
    if old is None:
        check_new_name(name, may_be_shipped=replace)
    target = folder_for_imports() / name
    try:
        with atomic_folder(target, "replace" if old == target else "refuse") as folder:
            _copy(source, folder)
        if old is not None and old != target:  # a .zip, whose place the folder takes
            old.unlink()
    except (OSError, OutputError) as error:
        raise OutputError(f"{error}; or set the environment variable {FOLDER_VARIABLE} to another folder") from error
    return CatalogEntry(name, target, False)


def remove_model(name: str) -> None:
    """Delete an imported model.

    Raises:
        UsageError: there is no such model, or it came with the installation.
        OutputError: no permission.
    """
    entry = next((e for e in list_models() if e.name == name), None)
    if entry is None or entry.is_shipped:
        raise UsageError(f"{name}: {'came with LiverMRISeg and cannot be removed' if entry else 'no such model'}")
    try:
        remove_folder(entry.path) if entry.path.is_dir() else entry.path.unlink()
    except OSError as error:
        raise OutputError(f"{entry.path}: cannot be removed ({error.strerror})") from error


def is_model_name(name: str) -> bool:
    """Whether a model can have this name: one for a folder on every system, that does not end with .zip."""
    is_short = len(name.encode("utf-8", "replace")) <= _NAME_BYTES
    return is_short and name.isprintable() and _NAME.fullmatch(name) is not None and not name.lower().endswith(".zip")


def check_new_name(name: str, *, may_be_shipped: bool = False) -> None:
    """Check that a model can be imported under this name.

    Args:
        name: of the new model.
        may_be_shipped: it may be that of a shipped model, for which the new one then stands in.

    Raises:
        UsageError: the name cannot be used, or a model of that name was imported before or came with LiverMRISeg.
    """
    if not is_model_name(name):
        raise UsageError(f"'{_short(name)}' cannot be the name of a model; use letters, digits, - and _")
    if _imported(name) is not None:
        raise UsageError(f"a model named '{name}' was imported before; remove it first, or give this one another name")
    shipped = {known.casefold() for known in _shipped()}
    if name.casefold() in shipped and not may_be_shipped:
        raise UsageError(
            f"'{name}' is the name of a model that came with LiverMRISeg; give this one another name "
            "('models import package --replace' lets it stand in for that model)"
        )


def _imported(name: str) -> Path | None:
    return next((entry.path for entry in list_models() if entry.name == name and not entry.is_shipped), None)


def _copy(source: Path, folder: Path) -> None:
    """Copy the files without their permissions: a copy from a read-only disk must be removable later."""
    if not source.is_dir():
        shutil.unpack_archive(source, folder, "zip")  # its names and sizes were checked when it was loaded
        return
    for file in source.iterdir():
        if not file.name.startswith("."):
            shutil.copyfile(file, folder / file.name)
