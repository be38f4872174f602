"""The signal that a Philips scanner measured, which its images do not show: each has a display scale of its own.

Stored value = signal * Scale Slope, which is a private element; the Rescale Slope only makes a display value of it. Two
images of one acquisition compare by their signals (Chenevert et al., Transl Oncol 2014), which dcm2niix writes as well.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.header import DicomHeader


def signal_scales(header: DicomHeader) -> list[tuple[float, float]] | None:
    """Slope and intercept that make signals of the stored values of every frame; None where the file does not say."""
    groups = header.groups if len(header.groups) == header.frames else [{}] * header.frames
    found = []
    for group, (slope, intercept) in zip(groups, header.scales(), strict=True):
        scale = _scale(header, group, (tags.PHILIPS_FRAME,)) or _scale(header, group, ())
        if scale is None:
            return None
        found.append((1 / scale, intercept / (slope * scale)))
    return found


def _scale(header: DicomHeader, group: Mapping[int, Any], place: Sequence[int]) -> float | None:
    owner = header.value(group, place, tags.PHILIPS_BLOCK)
    value = header.value(group, place, tags.PHILIPS_SCALE)
    if not owner.startswith(tags.PHILIPS_OWNER) or len(value) != 4:
        return None
    scale = float(struct.unpack(">f" if header.elements.is_big_endian else "<f", value)[0])
    return scale if math.isfinite(scale) and scale > 0 else None
