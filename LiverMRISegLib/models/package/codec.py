"""model.json: a `ModelSpec` to JSON and back. Reading is strict; nothing in the file is ever run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.anatomy import ANATOMICAL_STRUCTURE, LabelSet, Organ, organ_named, structure_named
from LiverMRISegLib.errors import LiverMRISegError, ModelError
from LiverMRISegLib.io.dataclass_reader import read_dataclass, shown, to_plain
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.models.package.network_arguments import check_patch, checked_shapes
from LiverMRISegLib.models.package.specification import SCHEMA_VERSION, ModelSpec
from LiverMRISegLib.volume import AxisChange

MOST_LABELS, MOST_CHARACTERS = 255, 200
_OUTER = ("schema_version", "files")


def to_json(spec: ModelSpec, files: Mapping[str, str]) -> str:
    """The text of model.json; `files` maps the name of every other file of the package to its sha256."""
    document = {"schema_version": SCHEMA_VERSION, **to_plain(spec), "labels": _labels_to_plain(spec.labels)}
    # So that older versions, which know none of these, can read a package that needs none.
    if not spec.preparation.channels:
        del document["preparation"]["channels"]
    if not spec.preparation.resample_first:
        del document["preparation"]["resample_first"]
    if not spec.trained_on:
        del document["trained_on"]
    if spec.trust is None:
        del document["trust"]
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
        document = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: is not JSON ({error}); get the model again") from error
    if not isinstance(document, dict):
        raise ModelError(f"{where}: must be a JSON object; get the model again")
    return document


def _check_schema(version: Any, where: str) -> None:
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{where}: schema version {shown(version)} is not known to this program (it knows {SCHEMA_VERSION}); "
            "update livermriseg or get a model made for it"
        )


def _spec(document: dict[str, Any], where: str) -> ModelSpec:
    labels = {LabelSet: lambda entries: _labels_from_plain(entries, str(document.get("name")))}
    spec = read_dataclass(ModelSpec, {"sequences": [], **document}, where, ModelError, labels)
    checked_shapes(spec.network.name, spec.network.kwargs, where)
    _check_together(spec)
    rules = {organ_named(name).name: rule for name, rule in spec.postprocessing.items()}
    return dataclasses.replace(spec, postprocessing=rules)


def _check_together(spec: ModelSpec) -> None:
    """ModelError for values that are right by themselves, but not with the network."""
    texts = {"name": [spec.name], "version": [spec.version], "an organ": [organ.name for organ in spec.labels.organs]}
    for what, text in ((what, text) for what, found in texts.items() for text in found):
        if not text.isprintable() or not 1 <= len(text) <= MOST_CHARACTERS:
            raise ModelError(f"{what} must be 1 to {MOST_CHARACTERS} printable characters, not {shown(text)}")
    network = spec.network
    taken, classes = network.kwargs["in_channels"], network.kwargs["out_channels"]
    given = len(spec.preparation.images)
    if taken != given:
        raise ModelError(f"the preparation makes {given} image(s), but the network takes {taken}")
    if spec.labels and max(spec.labels) >= classes:
        raise ModelError(f"label {max(spec.labels)} has no output of the network, which has {classes}")
    if spec.labels and classes > MOST_LABELS + 1:
        raise ModelError(f"the network has {classes} outputs, a label map has room for {MOST_LABELS} and background")
    for name, rule in spec.postprocessing.items():
        if rule.near and organ_named(rule.near) not in spec.labels.organs:
            raise ModelError(f"postprocessing.{name}.near: '{rule.near}' is not one of the labels")
    if spec.preparation.orientation:
        AxisChange.between(spec.preparation.orientation, "LPS")
    check_patch(network.name, network.kwargs, spec.inference.patch)


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
    organs: dict[int, Organ] = {}
    for entry in entries:
        value = entry["value"]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_LABELS:
            raise ValueError(f"a value must be a whole number between 1 and {MOST_LABELS}, not {shown(value)}")
        if value in organs:
            raise ValueError(f"the value {value} is listed twice")
        organs[value] = _organ(entry)
    return LabelSet(name, organs)


def _organ(entry: Mapping[str, Any]) -> Organ:
    if entry.get("snomed_ct") == ANATOMICAL_STRUCTURE.value:
        return structure_named(str(entry["organ"]) or "label", int(entry["value"]))
    return organ_named(str(entry["organ"])[:100])
