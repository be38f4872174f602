"""The elements of a DICOM file that make a volume, found in Python: no depth, count or length of a file is trusted.

The tags, VRs and encodings are those of DICOM PS3.5, chapters 7 and A, and PS3.10, chapter 7.
"""

from __future__ import annotations

import contextlib
import io
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom.tags import KEPT, KEPT_SEQUENCES, PIXELS, PRIVATE_SEQUENCES
from LiverMRISegLib.io.stored import readable

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_ITEM, _ITEM_END, _SEQUENCE_END, _SYNTAX = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00020010
_ITEM_BYTES, _UNDEFINED = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"), 0xFFFFFFFF
# Beyond what any scanner writes: depth of sequences, elements, bytes of a value that is kept, bytes once inflated.
_DEEPEST, _MOST_ELEMENTS, _LONGEST, _MOST_INFLATED = 32, 3_000_000, 4096, 2**31
_WINDOW = 2**16


class DamagedDicomError(InputError):
    """The file is a DICOM file, but truncated or damaged."""


@dataclass(frozen=True)
class PixelPlace:
    """Where the pixels are: `tag` of their element, and the bytes (start, length) of its parts.

    Native pixels have one part. Encapsulated ones have their offset table, then the fragments.
    `are_words`: they are stored as words of two bytes (VR OW), whatever the size of a pixel.
    """

    tag: int
    parts: tuple[tuple[int, int], ...]
    is_encapsulated: bool
    are_words: bool = False


@dataclass(frozen=True)
class Elements:
    """What was kept of a file. `values` maps a tag to its bytes, or to a list of such maps for a sequence."""

    path: Path
    syntax: str
    values: dict[int, Any]
    pixels: PixelPlace | None
    inflated: bytes | None = None

    @property
    def is_big_endian(self) -> bool:
        """Whether numbers of several bytes begin with the highest one."""
        return self.syntax == BIG_ENDIAN

    def open(self) -> BinaryIO:
        """The bytes that `pixels` counts in."""
        return io.BytesIO(self.inflated) if self.inflated is not None else self.path.open("rb")


def is_dicom_file(path: Path) -> bool:
    """Whether the file begins as DICOM files do, with a preamble or, as old ones, without. Pipes and devices do not."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or _is_bare(head)


def _is_bare(head: bytes) -> bool:
    """Whether the bytes are the first element of group 2 or 8, and the tag of another one."""
    if len(head) < 132 or head[:2] not in (b"\x02\x00", b"\x08\x00") or head[3] or head[2] > 0x20:
        return False
    explicit = head[4:6] in _SHORT or head[4:6] in _LONG
    length = int.from_bytes(head[6:8] if explicit else head[4:8], "little")
    after = head[8 + length : 12 + length]
    return 0 < length <= 64 and after[:2] == head[:2] and after[2:] > b"" and after[3] == 0 and after[2] > head[2]


def read_elements(path: Path) -> Elements:
    """The elements of a DICOM file. What follows the pixels must be elements too, or zeros.

    Raises:
        DamagedDicomError: truncated, damaged, or built to exhaust who reads it.
        InputError: it cannot be opened.
    """
    with readable(path), path.open("rb") as file:
        source = _Source(path, file, path.stat().st_size)
        start = 132 if source.size >= 132 and source.at(128, 4) == b"DICM" else 0
        syntax, start = _file_meta(source, start)
        inflated = None
        if syntax == DEFLATED:
            inflated = _inflate(path, file, start)
            source, start = _Source(path, io.BytesIO(inflated), len(inflated)), 0
        values, pixels = _Walk(source, syntax, start).run()
    return Elements(path, syntax, values, pixels, inflated)


class _Source:
    """Bytes of a file anywhere, never beyond its end."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self.path, self.size = path, size
        self._stream, self._window, self._start = stream, b"", 0

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes from `place`."""
        first = place - self._start
        if first < 0 or first + count > len(self._window):
            if place + count > self.size:
                raise self.damaged()
            self._stream.seek(place)
            self._window, self._start, first = self._stream.read(max(count, _WINDOW)), place, 0
            if len(self._window) < count:
                raise self.damaged()
        return self._window[first : first + count]

    def damaged(self) -> DamagedDicomError:
        """The error for this file."""
        return DamagedDicomError(f"{self.path}: is a truncated or damaged DICOM file; copy or export it again")


def _file_meta(source: _Source, place: int) -> tuple[str, int]:
    """The transfer syntax, and where the data set begins. A file without group 2 is guessed by its first element."""
    syntax, first = "", place
    while place + 8 <= source.size and source.at(place, 2) == b"\x02\x00":
        tag, _, length, place = _explicit_head(source, place, "little")
        if tag == _SYNTAX:
            syntax = source.at(place, min(length, 64)).decode("ascii", "replace").strip("\0 ")
        place += length
    if place > first and not re.fullmatch(r"[0-9.]+", syntax):
        raise source.damaged()
    if syntax == DEFLATED or place + 8 > source.size:
        return syntax or EXPLICIT, place
    looks_explicit = source.at(place + 4, 2) in _SHORT | _LONG
    if not syntax or (syntax in (IMPLICIT, EXPLICIT) and looks_explicit != (syntax == EXPLICIT)):
        return (EXPLICIT if looks_explicit else IMPLICIT), place
    return syntax, place


def _explicit_head(source: _Source, place: int, order: Any) -> tuple[int, bytes, int, int]:
    """Tag, VR and length of an element, and where its value begins."""
    head = source.at(place, 8)
    tag, vr = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order), head[4:6]
    if vr in _SHORT:
        return tag, vr, int.from_bytes(head[6:8], order), place + 8
    if vr in _LONG:
        return tag, vr, int.from_bytes(source.at(place + 8, 4), order), place + 12
    raise source.damaged()


def _inflate(path: Path, file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    with contextlib.suppress(zlib.error):
        content = unpack.decompress(file.read(), _MOST_INFLATED)
        if unpack.eof:
            return content
    raise DamagedDicomError(f"{path}: is a truncated or damaged DICOM file; copy or export it again")


@dataclass
class _Level:
    """A data set, a sequence or the fragments of pixels that are being walked through, up to `end`.

    What is found goes to `values` (of a data set) or `items` (of a sequence); neither if nothing of it is wanted.
    """

    kind: str
    end: int
    is_open: bool
    is_implicit: bool
    values: dict[int, Any] | None = None
    items: list[dict[int, Any]] | None = field(default=None)


class _Walk:
    """Goes through the elements of a data set with a list of the open levels, without recursion."""

    def __init__(self, source: _Source, syntax: str, place: int) -> None:
        self._source, self._place = source, place
        self._order: Any = "big" if syntax == BIG_ENDIAN else "little"
        self._root: dict[int, Any] = {}
        self._levels = [_Level("set", source.size, False, syntax == IMPLICIT, self._root)]
        self._found: PixelPlace | None = None

    def run(self) -> tuple[dict[int, Any], PixelPlace | None]:
        """What was found, and where the pixels are."""
        for _ in range(_MOST_ELEMENTS):
            level = self._levels[-1]
            if self._place >= level.end:
                if self._place > level.end or level.is_open:
                    raise self._source.damaged()
                self._levels.pop()
                if not self._levels:
                    return self._root, self._found
                continue
            if level.kind == "set":
                self._element(level)
            else:
                self._item(level)
        raise self._source.damaged()

    def _element(self, level: _Level) -> None:
        if self._found is not None and self._ends_in_zeros():
            self._place = self._source.size
            return
        tag, vr, length = self._head(level)
        if tag == _ITEM_END and level.is_open:
            self._levels.pop()
        elif len(self._levels) == 1 and self._found is not None and tag <= self._found.tag:
            raise self._source.damaged()  # bytes were put in between the pixels
        elif tag in PIXELS and len(self._levels) == 1:
            self._found = self._pixels(tag, vr, length)
        elif length == _UNDEFINED or (level.values is not None and self._is_kept_sequence(tag, length)):
            self._open(level, tag, vr, length)
        else:
            if tag in KEPT and level.values is not None:
                level.values[tag] = self._source.at(self._place, min(length, _LONGEST))
            self._place += length

    def _is_kept_sequence(self, tag: int, length: int) -> bool:
        """Of a private one only where items follow: another owner's element can have its tag."""
        has_items = tag not in PRIVATE_SEQUENCES or self._source.at(self._place, min(length, 4)) in _ITEM_BYTES
        return tag in KEPT_SEQUENCES and has_items

    def _ends_in_zeros(self) -> bool:
        left = self._source.size - self._place
        return left < _WINDOW and not any(self._source.at(self._place, left))

    def _head(self, level: _Level) -> tuple[int, bytes, int]:
        head = self._source.at(self._place, 8)
        tag = int.from_bytes(head[:2], self._order) << 16 | int.from_bytes(head[2:4], self._order)
        if level.is_implicit or tag in (_ITEM, _ITEM_END, _SEQUENCE_END):
            self._place += 8
            return tag, b"", int.from_bytes(head[4:], self._order)
        tag, vr, length, self._place = _explicit_head(self._source, self._place, self._order)
        return tag, vr, length

    def _open(self, level: _Level, tag: int, vr: bytes, length: int) -> None:
        """Begin a sequence, or pixels in an icon."""
        items: list[dict[int, Any]] | None = None
        if tag in KEPT_SEQUENCES and level.values is not None:
            items = level.values[tag] = []
        kind = "sequence" if vr in (b"SQ", b"UN", b"") else "fragments"
        # An unknown sequence of undefined length is written without VRs (PS3.5, 6.2.2).
        self._push(_Level(kind, 0, False, level.is_implicit or vr == b"UN", None, items), length)

    def _item(self, level: _Level) -> None:
        tag, _, length = self._head(_Level("set", 0, False, is_implicit=True))
        if tag == _SEQUENCE_END and level.is_open:
            self._levels.pop()
        elif tag != _ITEM or (level.kind == "fragments" and length == _UNDEFINED):
            raise self._source.damaged()
        elif level.kind == "fragments":
            self._place += length
        else:
            values: dict[int, Any] | None = None
            if level.items is not None:
                values = {}
                level.items.append(values)
            self._push(_Level("set", 0, False, level.is_implicit, values), length)

    def _push(self, level: _Level, length: int) -> None:
        outer = self._levels[-1]
        level.is_open = length == _UNDEFINED
        level.end = outer.end if level.is_open else self._place + length
        if level.end > outer.end or len(self._levels) >= _DEEPEST:
            raise self._source.damaged()
        self._levels.append(level)

    def _pixels(self, tag: int, vr: bytes, length: int) -> PixelPlace:
        if length != _UNDEFINED:
            if self._place + length > self._source.size:
                raise self._source.damaged()
            start, self._place = self._place, self._place + length
            return PixelPlace(tag, ((start, length),), is_encapsulated=False, are_words=vr == b"OW")
        parts: list[tuple[int, int]] = []
        for _ in range(_MOST_ELEMENTS):
            found, _, length = self._head(_Level("set", 0, False, is_implicit=True))
            if found == _SEQUENCE_END:
                return PixelPlace(tag, tuple(parts), is_encapsulated=True)
            if found != _ITEM or self._place + length > self._source.size:
                raise self._source.damaged()
            parts.append((self._place, length))
            self._place += length
        raise self._source.damaged()
