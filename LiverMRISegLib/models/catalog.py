"""Which models there are: those shipped in Resources, those imported by the user, and how a name finds its package."""

from __future__ import annotations

import difflib
import json
import logging
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.models.package import ModelPackage, load_spec
from LiverMRISegLib.models.specification import NNUNET, ModelSpec
from LiverMRISegLib.models.storage import SPECIFICATION
from LiverMRISegLib.networks.shapes import parameter_shapes
from LiverMRISegLib.resources import resource_folder

logger = logging.getLogger(__name__)
DEFAULT_MODEL = "liver-any-sequence"
CATALOG = "catalog.json"
FOLDER_VARIABLE = "LIVERMRISEG_MODELS"


@dataclass(frozen=True)
class CatalogEntry:
    """A model by name; `is_shipped` tells it came with the installation, `summary` what it is for in one line."""

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


def list_models() -> list[CatalogEntry]:
    """All models by name; the user's own stand before a shipped one of the same name."""
    entries: dict[str, CatalogEntry] = {}
    for name, summary in _shipped().items():
        entries[name] = CatalogEntry(name, resource_folder() / "models" / name, True, summary)
    folder = user_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):  # what an import that was killed leaves behind
            continue
        if (path / SPECIFICATION).is_file() or (path.is_file() and path.suffix.lower() == ".zip"):
            name = path.stem if path.is_file() else path.name
            entries[name] = CatalogEntry(name, path, False)
    return sorted(entries.values(), key=lambda entry: entry.name)


def _shipped() -> dict[str, str]:
    """Name and summary of every model in Resources, as catalog.json lists them."""
    path = resource_folder() / "models" / CATALOG
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {str(entry["name"]): str(entry["summary"]) for entry in document["models"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); install livermriseg again") from error


def find_model(name_or_path: str | Path) -> Path:
    """The package that a name of the catalog or a path means; ModelError names what there is."""
    entries = {entry.name: entry.path for entry in list_models()}
    if str(name_or_path) in entries:
        return entries[str(name_or_path)]
    path = Path(name_or_path)
    if path.exists():
        return path
    near = difflib.get_close_matches(str(name_or_path), entries, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(entries) or 'none'}"
    raise ModelError(f"{name_or_path}: neither a model's name nor a package's path; {hint}")


def smaller_model(spec: ModelSpec) -> ModelPackage | None:
    """The largest model of the catalog that is smaller than that of `spec` and can do the same.

    It fits the same inputs, knows all organs (by values of its own), may be mirrored along the same axes, and is not
    damaged. None for a model of nnU-Net: whoever imports one wants its result, not another's.
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
    """Of all models whose network can be built here: a package may come from a newer version."""
    found = []
    for entry in list_models():
        try:
            spec = load_spec(entry.path)
            found.append((spec, _parameters(spec), entry.path))
        except (LiverMRISegError, KeyError, TypeError, ValueError) as error:
            logger.warning("%s: cannot be used (%s)", entry.path, error)
    return found


def _parameters(spec: ModelSpec) -> int:
    shapes = parameter_shapes(spec.network.name, spec.network.kwargs)
    return sum(math.prod(shape) for shape in shapes.values())


def load_model(name_or_path: str | Path) -> ModelPackage:
    """Find and load; ModelError as `find_model` and `ModelPackage.load`."""
    return ModelPackage.load(find_model(name_or_path))
