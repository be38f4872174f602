"""What DICOM says of a frame that can tell apart the volumes of one series: echo, flip angle, b-value, time point."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.header import DicomHeader, numbers

# A number, several, or text; of a frame of which nothing is said, "".
Fact = tuple[float, ...] | str
_Decode = Callable[[DicomHeader, bytes], Fact]
_MOMENT = re.compile(r"(\d{8})?(\d{6}(?:\.\d{1,6})?)(?:[+-]\d{4})?")


@dataclass(frozen=True)
class Attribute:
    """One thing that may differ between volumes, and where it is found: the first place that has it counts.

    A place is the sequences that lead to an element, the element's tag, and how its bytes are read.
    """

    name: str
    places: tuple[tuple[tuple[int, ...], int, _Decode], ...]
    unit: str = ""


def _decimals(header: DicomHeader, value: bytes) -> Fact:
    return numbers(value.decode("latin-1").strip("\0 "))


def _doubles(header: DicomHeader, value: bytes) -> Fact:
    return _binary(header, value, "f8")


def _whole(header: DicomHeader, value: bytes) -> Fact:
    return _binary(header, value, "u4")


def _binary(header: DicomHeader, value: bytes, kind: str) -> Fact:
    size = int(kind[1])
    order = ">" if header.elements.is_big_endian else "<"
    found = np.frombuffer(value[: len(value) // size * size], f"{order}{kind}")
    return tuple(float(v) for v in found) if np.isfinite(found).all() else ()


def _text(header: DicomHeader, value: bytes) -> Fact:
    return "".join(c if c.isprintable() else "?" for c in value.decode("latin-1").strip("\0 "))


def _private_b_value(header: DicomHeader, value: bytes) -> Fact:
    """A b-value in a private element: text, or a float of 4 bytes (Philips). GE adds 1e9, and further numbers."""
    found = _decimals(header, value.split(b"\\")[0]) or (_binary(header, value, "f4") if len(value) == 4 else ())
    return tuple(v % 1e9 for v in found if isinstance(v, float))[:1]


# Two patients under one UID are told apart first. Contrast comes before time: a series of echoes can count them as
# acquisitions too.
ATTRIBUTES = (
    Attribute("study", (((), tags.STUDY, _text),)),
    Attribute("frame of reference", (((), tags.FRAME_OF_REFERENCE, _text),)),
    Attribute("echo time", (((tags.ECHO,), tags.EFFECTIVE_ECHO_TIME, _doubles), ((), tags.ECHO_TIME, _decimals)), "ms"),
    Attribute("echo number", (((), tags.ECHO_NUMBER, _decimals),)),
    Attribute(
        "flip angle", (((tags.TIMING,), tags.FLIP_ANGLE, _decimals), ((), tags.FLIP_ANGLE, _decimals)), "degrees",
    ),
    Attribute(
        "inversion time",
        (((tags.MODIFIER,), tags.INVERSION_TIMES, _doubles), ((), tags.INVERSION_TIME, _decimals)), "ms",
    ),
    Attribute(
        "repetition time",
        (((tags.TIMING,), tags.REPETITION_TIME, _decimals), ((), tags.REPETITION_TIME, _decimals)), "ms",
    ),
    Attribute("b-value", (((tags.DIFFUSION,), tags.B_VALUE, _doubles), ((), tags.B_VALUE, _doubles)), "s/mm2"),
    Attribute(
        "direction of diffusion",
        (((tags.DIFFUSION, tags.GRADIENT), tags.GRADIENT_DIRECTION, _doubles),
         ((), tags.GRADIENT_DIRECTION, _doubles)),
    ),
    Attribute(
        "part of complex values", (((tags.FRAME_TYPES,), tags.COMPLEX_PART, _text), ((), tags.COMPLEX_PART, _text)),
    ),
    Attribute("image type", (((tags.FRAME_TYPES,), tags.FRAME_TYPE, _text), ((), tags.IMAGE_TYPE, _text))),
    Attribute("sequence name", (((), tags.SEQUENCE_NAME, _text),)),
    Attribute("time point", (((tags.FRAME_CONTENT,), tags.TIME_INDEX, _whole), ((), tags.TIME_POINT, _decimals))),
    Attribute(
        "trigger time", (((tags.CARDIAC,), tags.TRIGGER_DELAY, _doubles), ((), tags.TRIGGER_TIME, _decimals)), "ms"
    ),
    Attribute("acquisition number", (((), tags.ACQUISITION, _decimals),)),
    Attribute("stack", (((tags.FRAME_CONTENT,), tags.STACK, _text),)),
    Attribute(
        "acquisition time",
        (((tags.FRAME_CONTENT,), tags.FRAME_MOMENT, _text), ((), tags.ACQUISITION_MOMENT, _text),
         ((), tags.ACQUISITION_TIME, _text)),
    ),
)  # fmt: skip
UNITS = {attribute.name: attribute.unit for attribute in ATTRIBUTES}
B_VALUE, ACQUISITION_TIME, IMAGE_TYPE, FILE = "b-value", "acquisition time", "image type", "file"
# What a person chooses a volume by, also where it does not tell all of them apart.
CONTRASTS = ("echo time", "flip angle", "inversion time", B_VALUE)
_DIMENSIONS = (((tags.FRAME_CONTENT,), tags.DIMENSIONS, _whole),)


def facts_of(header: DicomHeader) -> list[dict[str, Fact]]:
    """For every frame of a file what its attributes say, by their names; what is not said is left out."""
    groups = header.groups if len(header.groups) == header.frames else [{}] * header.frames
    return [_facts(header, group) for group in groups]


def _facts(header: DicomHeader, group: Mapping[int, Any]) -> dict[str, Fact]:
    found = {attribute.name: _first(header, group, attribute.places) for attribute in ATTRIBUTES}
    if not found[B_VALUE]:
        found[B_VALUE] = _vendors_b_value(header)
    for number, index in enumerate(_first(header, group, _DIMENSIONS), start=1):
        if isinstance(index, float):
            found[f"dimension {number}"] = (index,)
    if header.frames > 1:
        found[FILE] = header.path.name
    return {name: fact for name, fact in found.items() if fact}


def _first(
    header: DicomHeader, group: Mapping[int, Any], places: tuple[tuple[tuple[int, ...], int, _Decode], ...]
) -> Fact:
    for sequences, tag, decode in places:
        value = header.value(group, sequences, tag)
        fact = decode(header, value) if value else ""
        if fact:
            return fact
    return ""


def _vendors_b_value(header: DicomHeader) -> Fact:
    values = header.elements.values
    for tag, (block, owner) in tags.PRIVATE_B_VALUES.items():
        if tag in values and values.get(block, b"").startswith(owner):
            return _private_b_value(header, values[tag])
    return ""


def seconds_of(moment: Fact) -> float | None:
    """Seconds of a time of day, or of a date and time, in DICOM's words; None if it is neither."""
    found = _MOMENT.fullmatch(moment) if isinstance(moment, str) else None
    if found is None:
        return None
    try:
        whole = datetime.strptime((found[1] or "19700101") + found[2][:6], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return whole.replace(tzinfo=timezone.utc).timestamp() + float("0" + found[2][6:] if found[2][6:] else 0)
