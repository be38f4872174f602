"""A flag: a sentence on what a person should look at, which also knows its organ and its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

INPUT, MEMORY = "input", "memory"
NOT_FOUND, EDGE, PARTS, PLACE, VOLUME, TRUST, BOX = "not found", "edge", "parts", "place", "volume", "trust", "box"


class Flag(str):
    """The whole sentence as a str: the organ, if it is about one, and what is said of it.

    Nobody has to read the sentence to know what it is about.

    Args:
        text: what is said; without the organ's name, if there is one.
        organ: the name of the organ; empty for a flag on the input or on the computation.
        kind: one of the names at the top of this file; empty if it is not known.
    """

    text: str
    organ: str
    kind: str

    def __new__(cls, text: str, organ: str = "", kind: str = "") -> Flag:
        """See the class."""
        flag = super().__new__(cls, f"{organ} {text}" if organ else text)
        flag.text, flag.organ, flag.kind = str(text), organ, kind
        return flag

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]
        """For pickle and copy: a str has one argument."""
        return self.text, self.organ, self.kind


def as_flags(flags: Iterable[str]) -> list[Flag]:
    """Flags as they are; of a plain sentence neither organ nor kind is known."""
    return [flag if isinstance(flag, Flag) else Flag(flag) for flag in flags]


def to_parts(flags: Iterable[str]) -> list[dict[str, str]]:
    """The parts of each flag, for JSON."""
    return [{"organ": flag.organ, "kind": flag.kind, "text": flag.text} for flag in as_flags(flags)]


def from_parts(parts: Iterable[Mapping[str, Any]]) -> list[Flag]:
    """The flags that `to_parts` took apart."""
    return [Flag(part["text"], part["organ"], part["kind"]) for part in parts]
