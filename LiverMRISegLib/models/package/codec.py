"""model.json: a `ModelSpec` to JSON and back. Reading is strict; nothing in the file is ever run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, LabelSet, Organ, organ_named, structure_named
from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.io.dataclass_reader import read_dataclass, to_plain
from LiverMRISegLib.models.package.specification import SCHEMA_VERSION, ModelSpec

_OUTER = ("schema_version", "files")


def to_json(spec: ModelSpec, files: Mapping[str, str]) -> str:
    """The text of model.json; `files` maps the name of every other file of the package to its sha256."""
    document = {"schema_version": SCHEMA_VERSION, **to_plain(spec), "labels": _labels_to_plain(spec.labels)}
    if not spec.preparation.channels:  # so that older versions, which know no channels, can read it
        del document["preparation"]["channels"]
    return json.dumps({**document, "files": dict(files)}, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, where: str) -> tuple[ModelSpec, dict[str, str]]:
    """Read model.json; `where` names the file in messages. Returns the spec and the sha256 of every file.

    Raises:
        ModelError: not JSON, an unknown schema, a key that is missing, unknown or of the wrong type.
    """
    document = _document(text, where)
    _check_schema(document.get("schema_version"), where)
    files = document.get("files")
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise ModelError(f"{where}: 'files' must map file names to their sha256")
    try:
        return _spec({key: value for key, value in document.items() if key not in _OUTER}, where), dict(files)
    except ModelError as error:
        raise error if str(error).startswith(where) else ModelError(f"{where}: {error}") from error
    except LiverMRISegError as error:
        raise ModelError(f"{where}: {error}; get the model again or correct the file") from error


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: is not JSON ({error}); get the model again") from error
    if not isinstance(document, dict):
        raise ModelError(f"{where}: must be a JSON object; get the model again")
    return document


def _check_schema(version: Any, where: str) -> None:
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{where}: schema version {version!r} is not known to this program (it knows {SCHEMA_VERSION}); "
            "update livermriseg or get a model made for it"
        )


def _spec(document: dict[str, Any], where: str) -> ModelSpec:
    labels = {LabelSet: lambda entries: _labels_from_plain(entries, str(document.get("name")))}
    spec = read_dataclass(ModelSpec, {"sequences": [], **document}, where, ModelError, labels)
    rules = {organ_named(name).name: rule for name, rule in spec.postprocessing.items()}
    return dataclasses.replace(spec, postprocessing=rules)


def _labels_to_plain(labels: LabelSet) -> list[dict[str, Any]]:
    plain = []
    for value, organ in labels.items():
        entry: dict[str, Any] = {"value": value, "organ": organ.name, "snomed_ct": organ.type_code.value}
        if organ.side is not None:
            entry["side_snomed_ct"] = organ.side.value
        plain.append({**entry, "color": list(organ.color)})
    return plain


def _labels_from_plain(entries: Any, name: str) -> LabelSet:
    """The organ's name decides; codes and colours are there for other readers of the file.

    Only a structure of a foreign model, marked by the code of any anatomical structure, may have an unknown name.
    """
    return LabelSet(name, {int(entry["value"]): _organ(entry) for entry in entries})


def _organ(entry: Mapping[str, Any]) -> Organ:
    if entry.get("snomed_ct") == ANATOMICAL_STRUCTURE.value:
        return structure_named(str(entry["organ"]), int(entry["value"]))
    return organ_named(entry["organ"])
