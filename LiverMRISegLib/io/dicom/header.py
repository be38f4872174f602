"""The header of a DICOM image: what it is of, how its pixels are stored, and the place and scale of every frame."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.elements import Elements, read_elements
from LiverMRISegLib.io.dicom.positions import Plane, decimals
from LiverMRISegLib.io.dicom.text import decoded

# What is stored beside images and cannot be segmented: results, reports, plans, presentation states.
_NO_IMAGES = frozenset({"SEG", "SR", "PR", "KO", "REG", "RTSTRUCT", "RTDOSE", "RTPLAN", "DOC"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MOST_FRAMES, _MOST_SIDE = 100_000, 65_535


@dataclass(frozen=True)
class DicomHeader:
    """The header of one file that can be an image. Numbers that are not finite are as if they were missing."""

    elements: Elements

    @property
    def path(self) -> Path:
        """The file."""
        return self.elements.path

    @property
    def is_image(self) -> bool:
        """Whether it has pixels and is not a result made from an image."""
        return self.elements.pixels is not None and not self.is_result

    @property
    def is_result(self) -> bool:
        """Whether it says that it is made from images: a segmentation, a report, a plan."""
        return self.text(tags.MODALITY) in _NO_IMAGES

    @property
    def series(self) -> str:
        """UID of the series."""
        return self.text(tags.SERIES)

    def text(self, tag: int) -> str:
        """An attribute as printable text; "" if it is missing."""
        values = self.elements.values
        return decoded(values.get(tag, b""), values.get(tags.CHARACTER_SET, b""))

    def integer(self, tag: int, default: int | None = None) -> int:
        """A number of the type US.

        Raises:
            InputError: it is missing, and there is no default.
        """
        value = self.elements.values.get(tag, b"")
        if len(value) >= 2:
            return int.from_bytes(value[:2], "big" if self.elements.is_big_endian else "little")
        if default is None:
            raise InputError(f"{self.path}: its DICOM header lacks the size or type of the pixels; export it again")
        return default

    @property
    def facts(self) -> dict[str, Any]:
        """How the image was acquired: nothing that names a person."""
        found = {name: self.text(tag) for name, tag in tags.FACTS.items()}
        return {name: value for name, value in found.items() if value}

    @cached_property
    def rows(self) -> int:
        """Pixels along a column."""
        return self.integer(tags.ROWS)

    @cached_property
    def columns(self) -> int:
        """Pixels along a row."""
        return self.integer(tags.COLUMNS)

    @cached_property
    def frames(self) -> int:
        """Number of frames.

        Raises:
            InputError: it is not a whole number of 1 or more.
        """
        text = self.text(tags.FRAMES)
        if not text:
            return 1
        if not re.fullmatch(r"\+?\d{1,9}", text) or not 1 <= int(text) <= _MOST_FRAMES:
            raise InputError(f"{self.path}: its DICOM header gives no sound number of frames; export it again")
        return int(text)

    @cached_property
    def groups(self) -> list[dict[int, Any]]:
        """The functional groups of every frame; none for a classic image."""
        return list(self.elements.values.get(tags.FRAME_GROUPS, ()))

    def planes(self) -> list[Plane]:
        """The place of every frame; fewer than there are frames where the file does not give them."""
        if not self.groups:
            return [self._plane({})] if self.frames == 1 else []
        return [self._plane(group) for group in self.groups]

    def scales(self) -> list[tuple[float, float]]:
        """Slope and intercept of every frame.

        Raises:
            InputError: one is not a finite number, or a slope is 0.
        """
        groups = self.groups if len(self.groups) == self.frames else [{}] * self.frames
        return [self._scale(group) for group in groups]

    def _plane(self, group: dict[int, Any]) -> Plane:
        position = self._texts(group, tags.PLANE_POSITION, tags.POSITION)
        orientation = self._texts(group, tags.PLANE_ORIENTATION, tags.ORIENTATION)
        return Plane(
            numbers(position),
            numbers(orientation),
            numbers(self._texts(group, tags.PIXEL_MEASURES, tags.SPACING)),
            decimals(position),
            decimals(orientation),
        )

    def _scale(self, group: dict[int, Any]) -> tuple[float, float]:
        slope = self._texts(group, tags.TRANSFORMATION, tags.SLOPE) or "1"
        intercept = self._texts(group, tags.TRANSFORMATION, tags.INTERCEPT) or "0"
        found = numbers(f"{slope}\\{intercept}")
        if len(found) != 2 or found[0] == 0:
            raise InputError(f"{self.path}: its rescale slope or intercept is 0 or not a number; export it again")
        return found[0], found[1]

    def value(self, group: Mapping[int, Any], sequences: Sequence[int], tag: int) -> bytes:
        """An attribute of a frame, or the one that all frames share, or of the file; empty where it is nowhere.

        Args:
            group: the functional groups of the frame.
            sequences: those that lead to the attribute, the outer one first; none for an attribute of the file.
            tag: the attribute.
        """
        values = self.elements.values
        shared = (values.get(tags.SHARED_GROUPS) or [{}])[0]
        for place in (group, shared) if sequences else ():
            for sequence in sequences:
                place = (place.get(sequence) or [{}])[0]
            if place.get(tag):
                return bytes(place[tag])
        return b"" if sequences else bytes(values.get(tag, b""))

    def _texts(self, group: Mapping[int, Any], sequence: int, tag: int) -> str:
        found = self.value(group, (sequence,), tag) or self.value(group, (), tag)
        return found.decode("latin-1").strip("\0 ")


def read_dicom_header(path: Path) -> DicomHeader:
    """The header of a DICOM file.

    Raises:
        InputError: truncated or damaged.
    """
    return DicomHeader(read_elements(path))


def numbers(text: str) -> tuple[float, ...]:
    """The numbers of a DICOM decimal string; none if one of them is not a finite number."""
    words = [word.strip("\0 ") for word in text.split("\\")]
    if not all(_NUMBER.fullmatch(word) for word in words):
        return ()
    found = tuple(float(word) for word in words)
    return found if all(math.isfinite(v) for v in found) else ()
