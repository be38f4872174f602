"""What a run said of its outlines, as text that is saved with them: in a .seg.nrrd, and by Slicer with a scene."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.flag import Flag, from_parts, to_parts
from LiverMRISegLib.io.dataclass_reader import read_dataclass
from LiverMRISegLib.io.json_text import parse_json

# The node's attribute in a scene, and each segment's tag in a .seg.nrrd.
KEY = "LiverMRISeg.Result"


@dataclass(frozen=True)
class Remarks:
    """Volumes (mL), trust and flags of a result; nothing that names a volume, a file or a patient.

    `made_ml`: what each segment, by its ID, measured when it was made.
    """

    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    trust: Mapping[str, float] = field(default_factory=dict)
    made_ml: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[Flag] = ()

    def to_text(self) -> str:
        """As JSON; empty if nothing was said."""
        if not (self.volumes_ml or self.flags or self.trust):
            return ""
        measured = {"volumes_ml": dict(self.volumes_ml), "trust": dict(self.trust), "made_ml": dict(self.made_ml)}
        return json.dumps({**measured, "flags": to_parts(self.flags)})

    @classmethod
    def from_text(cls, text: str) -> Remarks:
        """What `to_text` made text of.

        Raises:
            InputError: it made no such text.
        """
        try:
            plain = read_dataclass(_Plain, parse_json(text), KEY, InputError)
            return cls(plain.volumes_ml, plain.trust, plain.made_ml, from_parts(plain.flags))
        except (ValueError, KeyError) as error:
            raise InputError(f"{KEY}: {error}") from None


@dataclass(frozen=True)
class _Plain:
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    trust: Mapping[str, float] = field(default_factory=dict)
    made_ml: Mapping[str, float] = field(default_factory=dict)
    flags: Sequence[Mapping[str, str]] = ()


def as_tag(text: str) -> str:
    """`text` without what separates tags (|) or has another meaning in a NRRD header (backslash, line break)."""
    return quote(text, safe=' {}[]",:;.-+/()<>=')


def from_tag(tag: str) -> str:
    """What `as_tag` made a tag of."""
    return unquote(tag)
