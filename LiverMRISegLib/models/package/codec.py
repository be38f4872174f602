"""model.json: `ModelSpec` to plain JSON and back, strictly; nothing in it is ever run."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, LabelSet, Organ, organ_named, structure_named
from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.models.package.specification import (
    SCHEMA_VERSION,
    InferenceSpec,
    ModelSpec,
    NetworkSpec,
    OrganRule,
    PreparationSpec,
)

_PARTS = {"network": NetworkSpec, "preparation": PreparationSpec, "inference": InferenceSpec}
_TEXTS = ("name", "version", "task", "modality", "intended_use", "weights_license")
_OWN = {f.name for f in dataclasses.fields(ModelSpec)}
_OUTER = {"schema_version", "files"}


def to_json(spec: ModelSpec, files: Mapping[str, str]) -> str:
    """model.json of `spec`; `files` maps the name of every other file of the package to its sha256."""
    document = {"schema_version": SCHEMA_VERSION, **_plain(spec), "labels": _labels_to_plain(spec.labels)}
    if not spec.preparation.channels:  # programs from before there were channels read it too
        del document["preparation"]["channels"]
    return json.dumps({**document, "files": dict(files)}, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, where: str) -> tuple[ModelSpec, dict[str, str]]:
    """Read model.json; `where` names the file in messages. Returns the spec and the sha256 of every file.

    Raises:
        ModelError: no JSON, an unknown schema, a key that is missing, unknown or of the wrong type.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{where}: is not JSON ({error}); get the model again") from error
    if not isinstance(document, dict):
        raise ModelError(f"{where}: holds no JSON object; get the model again")
    _check_schema(document.get("schema_version"), where)
    _check_keys(document, _OWN | _OUTER, _OUTER | {"name", "version", "labels", *_PARTS}, where)
    files = document["files"]
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise ModelError(f"{where}: 'files' must map file names to their sha256")
    try:
        return _spec(document, where), dict(files)
    except ModelError as error:
        raise error if str(error).startswith(where) else ModelError(f"{where}: {error}") from error
    except (LiverMRISegError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{where}: {error}; get the model again or correct the file") from error


def _check_schema(version: Any, where: str) -> None:
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{where}: schema version {version!r} is not known to this program (it knows {SCHEMA_VERSION}); "
            "update livermriseg or get a model made for it"
        )


def _check_keys(values: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    unknown, missing = sorted(set(values) - known), sorted(needed - set(values))
    if unknown:
        raise ModelError(f"{where}: unknown key '{unknown[0]}'; known are: {', '.join(sorted(known))}")
    if missing:
        raise ModelError(f"{where}: the key '{missing[0]}' is missing")


def _spec(document: dict[str, Any], where: str) -> ModelSpec:
    values = {key: value for key, value in document.items() if key in _OWN}
    for key in _TEXTS:
        if not isinstance(values.get(key, ""), str):
            raise ModelError(f"{where}: '{key}' must be text")
    for key, part in _PARTS.items():
        values[key] = _part(part, values[key], f"{where}: {key}")
    rules = values.get("postprocessing", {})
    values["postprocessing"] = {organ_named(n).name: _part(OrganRule, r, f"{where}: {n}") for n, r in rules.items()}
    values["labels"] = _labels_from_plain(values["labels"], str(values["name"]))
    for key in ("sequences", "provenance", "metrics"):
        values[key] = tuple(values.get(key, ()))
    return ModelSpec(**values)


def _part(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise ModelError(f"{where}: an object was expected")
    fields = {f.name for f in dataclasses.fields(kind)}
    needed = {f.name for f in dataclasses.fields(kind) if _is_required(f)}
    _check_keys(values, fields, needed, where)
    hints = typing.get_type_hints(kind)
    return kind(**{key: _as_hinted(hints[key], value, f"{where}.{key}") for key, value in values.items()})


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _as_hinted(hint: Any, value: Any, where: str) -> Any:
    """`value` if it is what the field's type says; lists become tuples."""
    options = typing.get_args(hint)
    if type(None) in options:
        return None if value is None else _as_hinted(options[0], value, where)
    kind = typing.get_origin(hint) or hint
    if dataclasses.is_dataclass(kind):
        return _part(kind, value, where)
    if kind is tuple:
        if not isinstance(value, list):
            raise ModelError(f"{where}: a list was expected")
        return tuple(_as_hinted(options[0], item, where) for item in value)
    accepted: tuple[type, ...] = (int, float) if kind is float else (dict,) if kind is Mapping else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ModelError(f"{where}: {value!r} is of the wrong type")
    return value


def _labels_to_plain(labels: LabelSet) -> list[dict[str, Any]]:
    plain = []
    for value, organ in labels.items():
        entry: dict[str, Any] = {"value": value, "organ": organ.name, "snomed_ct": organ.type_code.value}
        if organ.side is not None:
            entry["side_snomed_ct"] = organ.side.value
        plain.append({**entry, "color": list(organ.color)})
    return plain


def _labels_from_plain(entries: Any, name: str) -> LabelSet:
    """Codes and colours are written for readers of the file; the organ's name decides.

    Only what says that it is some structure, in a foreign model, may have a name that is not ours.
    """
    return LabelSet(name, {int(entry["value"]): _organ(entry) for entry in entries})


def _organ(entry: Mapping[str, Any]) -> Organ:
    if entry.get("snomed_ct") == ANATOMICAL_STRUCTURE.value:
        return structure_named(str(entry["organ"]), int(entry["value"]))
    return organ_named(entry["organ"])


def _plain(value: Any) -> Any:
    if isinstance(value, LabelSet):
        return _labels_to_plain(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
