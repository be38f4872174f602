"""The result for a volume of the scene, and how it is saved with its segmentation: as an attribute of the node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.flag import Flag, as_flags, from_parts, to_parts
from LiverMRISegLib.io.dataclass_reader import read_dataclass
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegScene.bases import tr as _

_ATTRIBUTE = "LiverMRISeg.Result"


@dataclass(frozen=True)
class SceneResult:
    """The result for one volume: the segmentation node, or the `error` in one line.

    `trust`: the Dice to be expected of each organ, if the model gives it. `made_ml`: what each segment, by its ID,
    measured when it was made. `flags` may be given as plain sentences.
    """

    name: str
    node: Any = None
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[Flag] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    trust: Mapping[str, float] = field(default_factory=dict)
    made_ml: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Of a plain sentence neither organ nor kind is known."""
        object.__setattr__(self, "flags", as_flags(self.flags))


@dataclass(frozen=True)
class _Saved:
    """What is saved: nothing that names a volume, a file or a patient."""

    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    trust: Mapping[str, float] = field(default_factory=dict)
    made_ml: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[Mapping[str, str]] = ()


def write_result(node: Any, result: SceneResult) -> None:
    """Let MRML save with a segmentation what a run said of it; of one that is not from a run there is nothing."""
    if not (result.volumes_ml or result.flags or result.trust):
        node.RemoveAttribute(_ATTRIBUTE)
        return
    saved = {
        "volumes_ml": dict(result.volumes_ml), "trust": dict(result.trust), "made_ml": dict(result.made_ml),
        "flags": to_parts(result.flags),
    }  # fmt: skip
    text = json.dumps(saved)
    if text != node.GetAttribute(_ATTRIBUTE):
        node.SetAttribute(_ATTRIBUTE, text)


def read_result(node: Any, name: str = "") -> SceneResult:
    """What a run said of a segmentation, as `write_result` saved it; `name` is the node's, if none is given."""
    name = name or str(node.GetName())
    text = node.GetAttribute(_ATTRIBUTE)
    if not text:
        return SceneResult(name, node)
    try:
        saved = read_dataclass(_Saved, parse_json(text), name, InputError)
        flags = from_parts(saved.flags)
    except (ValueError, KeyError, InputError):
        said = _("what was said of this segmentation when it was made cannot be read: look at every outline")
        return SceneResult(name, node, flags=as_flags([said]))
    return SceneResult(name, node, saved.volumes_ml, flags, trust=saved.trust, made_ml=saved.made_ml)
