"""Which organ a segment is by its coded term, whatever it is called: Slicer and DICOM keep a term with each segment.

The name comes first, since it is what people see. A segment that is called like no organ of ours ("Leber") is the one
that its term says. Where the name says one organ and the term another one, nobody knows which is right.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from LiverMRISegLib.anatomy import ORGAN_NAMES, Code, Organ, id_of, organ_named, structure_named
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import Volume

SEGMENTS, CODED = "segments", "coded organs"
TERMINOLOGY_TAG = "TerminologyEntry"
_ORGANS = tuple(organ_named(name) for name in ORGAN_NAMES)
# The codes that SNOMED had for them before SCT: those of Slicer before 4.11, and of many a DICOM SEG.
_SCT_OF_SRT = {
    "T-62000": "10200004", "T-71000": "64033007", "T-C3000": "78961009", "T-65000": "15776009", "T-42000": "15825003",
    "T-48710": "64131007", "T-B3000": "23451007", "T-63000": "28231008", "T-56000": "32849002", "T-57000": "69695003",
    "T-58200": "38848004", "T-48810": "32764006", "T-32300": "82471001", "G-A100": "24028007", "G-A101": "7771000",
}  # fmt: skip
# Slicer's entry: context ~ category ~ type ~ modifier of the type ~ ...; each term is scheme ^ value ^ meaning.
_TYPE, _MODIFIER = 2, 3
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Segment:
    """A segment's name, the organ that its coded term says (None if none of ours), and its ID in Slicer."""

    name: str
    coded: Organ | None = None
    segment_id: str = ""


def organ_of_entry(entry: str) -> Organ | None:
    """The organ of ours that Slicer's serialised terminology entry says; None if it says another structure."""
    terms = [tuple(term.split("^")[:2]) for term in entry.split("~")]
    return organ_of_codes(terms[_TYPE], terms[_MODIFIER]) if len(terms) > _MODIFIER else None


def organ_of_codes(kind: Sequence[str], side: Sequence[str] = ()) -> Organ | None:
    """The organ of ours with these terms, each a scheme and a value; no `side` is none at all, or empty texts."""
    wanted = (_sct(kind), _sct(side) if any(side) else None)
    return next((organ for organ in _ORGANS if (_codes(organ.type_code), _codes(organ.side)) == wanted), None)


def coded_organs(segments: Mapping[Key, Segment]) -> dict[Key, str]:
    """The organs of ours that the terms of segments say.

    Several that are called like no organ may have one term, as copies have. It is said of the one alone whose ID names
    the organ, or of none.
    """
    found = {key: one.coded.name for key, one in segments.items() if one.coded is not None}
    for organ in set(found.values()):
        alike = [key for key in found if found[key] == organ and not _is_known(segments[key].name)]
        own = [key for key in alike if segments[key].segment_id == id_of(organ)]
        for key in alike if len(alike) > 1 else ():
            if own != [key]:
                del found[key]
    return found


def organs_meant(names: Mapping[Key, str], coded: Mapping[Key, str]) -> dict[Key, str]:
    """The segments that are an organ of ours by their term alone: no name says so, and no other has the organ's name.

    Args:
        names: of all segments.
        coded: as `coded_organs` gives it.
    """
    there = {structure_named(name).name for name in names.values() if name}
    return {key: organ for key, organ in coded.items() if organ not in there and not _is_known(names[key])}


def meant_in_words(labelmap: Volume) -> str:
    """What is to be said where segments of a label map are taken for organs by their terms; empty if none are."""
    names, coded = labelmap.metadata.get(SEGMENTS, {}), labelmap.metadata.get(CODED, {})
    said = [f"'{names[value]}' for {organ}" for value, organ in organs_meant(names, coded).items()]
    return f"takes {', '.join(said)}, as the terminology of the segments says" if said else ""


def contradictions(labelmap: Volume) -> list[str]:
    """The segments of a label map whose names say another organ than their terms, in words."""
    names, coded = labelmap.metadata.get(SEGMENTS, {}), labelmap.metadata.get(CODED, {})
    return [
        f"its segment '{names[value]}' is called so, but is {organ} by its terminology"
        for value, organ in coded.items()
        if _is_known(names[value]) and structure_named(names[value]).name != organ
    ]


def check_no_contradiction(labelmap: Volume, path: object) -> None:
    """Refuse a label map that does not say which organ a segment is.

    Raises:
        InputError: a segment's name says another organ than its term.
    """
    for said in contradictions(labelmap):
        raise InputError(
            f"{path}: {said}; let both say the same in Slicer (the terminology: double-click the segment's colour)"
        )


def _codes(code: Code | None) -> tuple[str, str] | None:
    return (code.scheme, code.value) if code is not None else None


def _sct(term: Sequence[str]) -> tuple[str, ...]:
    scheme, *value = term
    return ("SCT", *(_SCT_OF_SRT.get(one, one) for one in value)) if scheme == "SRT" else (scheme, *value)


def _is_known(name: str) -> bool:
    return bool(name) and structure_named(name).name in ORGAN_NAMES
