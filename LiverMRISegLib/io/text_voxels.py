"""Voxels written out as text: numbers, or hexadecimal digits. A bounded piece at a time; ValueError for other text.

Python's own conversions are used throughout: a program's locale does not change what a number means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from LiverMRISegLib.io.unpack import ByteSource

_READ = 2**20
# Python takes more than this for a number: underscores, and digits of other scripts.
_WHOLE = re.compile(rb"[-+0-9\s]*")
_FLOAT = re.compile(rb"(?:[-+0-9.e\s]|nan|inf(?:inity)?)*")


def numbers_in_text(stream: ByteSource, kind: np.dtype) -> Iterator[bytes]:
    """Numbers between blanks or line breaks, as bytes of `kind`."""
    convert = _whole_numbers if kind.kind in "iu" else _floats
    for text in _whole_words(stream):
        yield convert(text, kind).tobytes()


def from_hex(stream: ByteSource) -> Iterator[bytes]:
    """The bytes that pairs of hexadecimal digits stand for."""
    held = b""
    while block := stream.read(_READ):
        digits = held + b"".join(block.split())
        even = len(digits) // 2 * 2
        yield bytes.fromhex(digits[:even].decode("ascii"))
        held = digits[even:]
    if held:
        raise ValueError("a hexadecimal digit is missing")


def _whole_words(stream: ByteSource) -> Iterator[bytes]:
    """The text in pieces that end between words."""
    held = b""
    while block := stream.read(_READ):
        held += block
        cut = max(held.rfind(space) for space in (b" ", b"\n", b"\t", b"\r")) + 1
        if cut == 0 and len(held) >= _READ:
            raise ValueError("a number of a million digits")
        yield held[:cut]
        held = held[cut:]
    yield held


def _whole_numbers(text: bytes, kind: np.dtype) -> np.ndarray:
    if not _WHOLE.fullmatch(text):
        raise ValueError("not a whole number")
    values = [int(word) for word in text.split()]
    limits = np.iinfo(kind)
    if values and not limits.min <= min(values) <= max(values) <= limits.max:
        raise ValueError(f"a number beyond {kind}")
    return np.array(values, kind)


def _floats(text: bytes, kind: np.dtype) -> np.ndarray:
    if not _FLOAT.fullmatch(text.lower()):
        raise ValueError("not a number")
    with np.errstate(over="ignore"):
        return np.array([float(word) for word in text.split()], np.float64).astype(kind)
