"""Real World Value Mapping: which quantity the stored values of a frame mean (PS3.3, C.7.6.16.2.11).

A map of fat fraction, T1 or ADC may state its values so, beside a Rescale Slope that is for display. highdicom takes
the mapping, where there is one, and not the rescale. GDCM, by which ITK reads, takes the rescale, and so does dcm2niix,
but for Philips images without one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.header import DicomHeader
from LiverMRISegLib.io.dicom.text import decoded


@dataclass(frozen=True)
class RealWorld:
    """The mapping of a frame: quantity = stored value * `slope` + `intercept`, in `unit` (UCUM, as "ms" or "%")."""

    slope: float
    intercept: float
    unit: str = ""


def real_world_of(header: DicomHeader) -> list[RealWorld | None]:
    """The mapping of every frame of a file; None where there is none.

    Raises:
        InputError: one is a table, has no finite slope and intercept, or there are several that differ.
    """
    groups = header.groups if len(header.groups) == header.frames else [{}] * header.frames
    return [_mapping(header, group) for group in groups]


def _mapping(header: DicomHeader, group: Mapping[int, Any]) -> RealWorld | None:
    shared = (header.elements.values.get(tags.SHARED_GROUPS) or [{}])[0]
    places = (group, shared, header.elements.values)
    mapped = (place[tags.REAL_WORLD] for place in places if place.get(tags.REAL_WORLD))
    items: list[Mapping[int, Any]] = next(mapped, [])
    found = {_read(header, item) for item in items}
    if len(found) > 1:
        units = ", ".join(sorted(one.unit or "no unit" for one in found))
        raise InputError(
            f"{header.path}: states its values in {len(found)} ways (Real World Value Mapping: {units}), and which is "
            "meant is not known; export the map with one"
        )
    return found.pop() if found else None


def _read(header: DicomHeader, item: Mapping[int, Any]) -> RealWorld:
    if item.get(tags.REAL_WORLD_TABLE):
        raise InputError(
            f"{header.path}: gives its values by a table (Real World Value LUT), which is not read; export it "
            "without one"
        )
    order = ">" if header.elements.is_big_endian else "<"
    pair = [item.get(tag, b"") for tag in (tags.REAL_WORLD_SLOPE, tags.REAL_WORLD_INTERCEPT)]
    values = [struct.unpack(f"{order}d", value)[0] if len(value) == 8 else math.nan for value in pair]
    if not all(math.isfinite(value) for value in values) or values[0] == 0:
        raise InputError(
            f"{header.path}: its Real World Value Mapping gives no slope, or one that is 0 or not a number; "
            "export it again"
        )
    unit = (item.get(tags.UNITS) or [{}])[0].get(tags.CODE, b"")
    return RealWorld(values[0], values[1], decoded(unit, header.elements.values.get(tags.CHARACTER_SET, b"")))
