"""The header of a safetensors file, read and checked in Python before anything else sees the file.

Eight bytes with the header's length, the header (JSON: name, type, shape and place of each tensor), the tensors in one
row without gaps (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from LiverMRISegLib.io.dataclass_reader import shown
from LiverMRISegLib.io.json_text import parse_json

LARGEST_HEADER = 16 * 1024**2
_LENGTH_BYTES = 8
_DEEPEST = 5
# bfloat16, which numpy does not know, and whole numbers are named too, so that a message can name them.
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
NUMBER_TYPES = {"F32": "<f4", "F16": "<f2"}
# Of both types: all bits of the exponent are set in NaN and infinite numbers, and in no other.
_EXPONENTS = {np.dtype("<f4"): ("<u4", 0x7F800000), np.dtype("<f2"): ("<u2", 0x7C00)}
_PIECE = 2**20


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor is in its file: `kind` as in the header ("F32"), `start` and `size` in bytes."""

    kind: str
    shape: tuple[int, ...]
    start: int
    size: int


def read_tensor_places(file: IO[bytes], size: int) -> dict[str, TensorPlace]:
    """The tensors of a file of `size` bytes, by name.

    Raises:
        ValueError: it is not a safetensors file, or its tensors overlap, leave gaps or do not fill the file.
    """
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > min(LARGEST_HEADER, size - _LENGTH_BYTES):
        raise ValueError(f"its header claims {length} bytes")
    document = parse_json(file.read(length), _DEEPEST)
    if not isinstance(document, dict):
        raise ValueError("its header is not a JSON object")
    document.pop("__metadata__", None)
    start = _LENGTH_BYTES + length
    places = {name: _place(name, entry, start) for name, entry in document.items()}
    _check_order(places, start, size)
    return places


def _place(name: str, entry: Any, start: int) -> TensorPlace:
    if not isinstance(entry, Mapping) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {shown(name)} needs dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _BYTES:
        raise ValueError(f"tensor {shown(name)} is of the unknown type {shown(kind)}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2 or len(shape) > 16:
        raise ValueError(f"the shape or place of tensor {shown(name)} is not a list of whole numbers")
    first, last = offsets
    if last - first != math.prod(shape) * _BYTES[kind]:
        raise ValueError(f"the size of tensor {shown(name)} does not fit its shape")
    return TensorPlace(kind, tuple(shape), start + first, last - first)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_order(places: Mapping[str, TensorPlace], start: int, size: int) -> None:
    for place in sorted(places.values(), key=lambda place: (place.start, place.size)):
        if place.start != start:
            raise ValueError("its tensors overlap or leave a gap")
        start += place.size
    if start != size:
        raise ValueError(f"its tensors end after {start} bytes, the file after {size}")


def is_finite(array: np.ndarray) -> bool:
    """Whether all numbers of a float16 or float32 array are finite; in pieces, and several times faster than numpy."""
    kind, exponent = _EXPONENTS[array.dtype]
    bits = array.reshape(-1).view(kind)
    for first in range(0, bits.size, _PIECE):
        piece = bits[first : first + _PIECE]
        if (piece & exponent).max() == exponent:
            return False
    return True
