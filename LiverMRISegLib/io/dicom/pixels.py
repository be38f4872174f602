"""The pixels of a DICOM image as they are stored: sizes are compared with the file before anything is allocated."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.codecs import NATIVE_CODECS, RLE, CompressedFrame, decode_by_gdcm, unpack_rle
from LiverMRISegLib.io.dicom.elements import NATIVE, PixelPlace
from LiverMRISegLib.io.dicom.header import DicomHeader
from LiverMRISegLib.io.memory import check_fits_memory
from LiverMRISegLib.io.stored import megabytes, readable

# A run of RLE makes 128 bytes of 2. No codec makes more than this of one byte, but for an image of a single value.
_RLE_GAIN, _CODEC_GAIN = 64, 20_000


def check_pixels(header: DicomHeader) -> None:
    """InputError unless the pixels are grey ones of a known type, and the file can have as many as it announces."""
    path = header.path
    if header.integer(tags.SAMPLES, 1) != 1 or header.text(tags.PHOTOMETRIC).startswith(("PALETTE", "RGB", "YBR")):
        raise InputError(f"{path}: is a colour image; choose a series of grey ones")
    if header.elements.values.get(tags.MODALITY_LUT):
        raise InputError(
            f"{path}: gives its values by a table (Modality LUT), which is not read; export it without one"
        )
    if min(header.rows, header.columns) < 1:
        raise InputError(f"{path}: its DICOM header gives a size of 0; export it again")
    kind = pixel_kind(header)
    needed = header.rows * header.columns * header.frames * kind.itemsize
    check_fits_memory(path, needed)
    place = _place(header)
    present = sum(length for _, length in place.parts)
    if place.is_encapsulated:
        gain = _RLE_GAIN if header.elements.syntax == RLE else _CODEC_GAIN
        if needed > present * gain:
            raise InputError(
                f"{path}: its header announces {megabytes(needed)}, but the file has {megabytes(present)}: "
                "truncated or not a real image; export or copy it again"
            )
    else:
        _check_native(path, present, needed, most_left=kind.itemsize * min(header.rows, header.columns))


def check_segment_pixels(header: DicomHeader) -> None:
    """InputError unless a DICOM SEG, where it is not compressed, has as many pixels as it announces; no pixels pass."""
    place = header.elements.pixels
    if place is None or place.is_encapsulated:
        return
    pixels = header.rows * header.columns * header.frames
    check_fits_memory(header.path, pixels)
    needed = -(-pixels * header.integer(tags.BITS_ALLOCATED) // 8)  # pixels of 1 bit are packed
    _check_native(header.path, place.parts[0][1], needed)


def _check_native(path: Path, present: int, needed: int, most_left: int = 0) -> None:
    """InputError unless there are as many bytes of pixels as are needed, and less than two, or `most_left`, more."""
    if present < needed:
        raise InputError(f"{path}: lacks part of its pixels; copy or export the series again")
    if present - needed >= max(2, most_left):
        raise InputError(f"{path}: contains more pixels than its header announces; export the series again")


def pixel_kind(header: DicomHeader) -> np.dtype:
    """Type of the stored pixels.

    Raises:
        InputError: it cannot be read.
    """
    place, bits = _place(header), header.integer(tags.BITS_ALLOCATED)
    order = ">" if header.elements.is_big_endian else "<"
    if place.tag == tags.FLOAT_PIXELS:
        return np.dtype(f"{order}f4")
    if place.tag == tags.DOUBLE_PIXELS:
        return np.dtype(f"{order}f8")
    stored = header.integer(tags.BITS_STORED, bits)
    high = header.integer(tags.HIGH_BIT, stored - 1)
    if bits not in (8, 16, 32):
        raise InputError(f"{header.path}: has {bits} bits per pixel; only 8, 16 and 32 are read; export it again")
    if not 1 <= stored <= bits or not stored - 1 <= high < bits:
        raise InputError(f"{header.path}: its header contradicts itself on the bits per pixel; export it again")
    return np.dtype(f"{order}{'i' if header.integer(tags.SIGNED) else 'u'}{bits // 8}")


def read_frames(headers: Sequence[DicomHeader], wanted: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """The stored values [frame, Y, X] of the `wanted` frames of each file, checked by `check_pixels` before.

    Raises:
        InputError: they are damaged, or in an encoding that cannot be read.
    """
    found: list[np.ndarray | None] = []
    compressed: list[CompressedFrame] = []
    for header, numbers in zip(headers, wanted, strict=True):
        place, syntax, kind = _place(header), header.elements.syntax, pixel_kind(header)
        if not place.is_encapsulated:
            found.append(_native(header, place, kind, numbers))
            continue
        frames = _frames_of(header, place)
        chosen = [frames[number] for number in numbers]
        if syntax == RLE:
            shape = (header.rows, header.columns)
            found.append(
                _significant(np.stack([unpack_rle(header.path, frame, kind, shape) for frame in chosen]), header)
            )
        elif syntax in NATIVE_CODECS:
            found.append(None)
            compressed += [CompressedFrame(header, frame, kind) for frame in chosen]
        else:
            raise InputError(f"{header.path}: its compression ({syntax}) cannot be read; export it uncompressed")
    # One process for all, since it takes longer to start than to decode.
    decoded = iter(decode_by_gdcm(compressed) if compressed else ())
    return [
        one if one is not None else np.stack([next(decoded) for _ in numbers])
        for one, numbers in zip(found, wanted, strict=True)
    ]


def _native(header: DicomHeader, place: PixelPlace, kind: np.dtype, numbers: Sequence[int]) -> np.ndarray:
    if header.elements.syntax not in NATIVE:
        raise InputError(f"{header.path}: its pixels are not packed as its header says; export it again")
    shape = (header.rows, header.columns)
    size = math.prod(shape) * kind.itemsize
    content = bytearray()
    with readable(header.path), header.elements.open() as file:
        if place.are_words and kind.itemsize == 1 and header.elements.is_big_endian:
            file = io.BytesIO(_swapped(file, *place.parts[0]))
            place = replace(place, parts=((0, place.parts[0][1]),))
        for number in numbers:
            file.seek(place.parts[0][0] + number * size)
            content += file.read(size)
    if len(content) != size * len(numbers):
        raise InputError(f"{header.path}: lacks part of its pixels; copy or export the series again")
    return _significant(np.frombuffer(content, kind).reshape(len(numbers), *shape), header)


def _swapped(file: BinaryIO, start: int, length: int) -> bytes:
    """The bytes of big-endian words, each of which has its second byte first (PS3.5, A.3), in their order."""
    file.seek(start)
    return np.frombuffer(file.read(length - length % 2), np.uint16).byteswap().tobytes()


def _place(header: DicomHeader) -> PixelPlace:
    if header.elements.pixels is None:
        raise InputError(f"{header.path}: has no pixels; copy or export it again")
    return header.elements.pixels


def _significant(pixels: np.ndarray, header: DicomHeader) -> np.ndarray:
    """Without what is in the bits beside the stored ones (overlays, in old files)."""
    if pixels.dtype.kind == "f":
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    bits = 8 * pixels.dtype.itemsize
    stored = header.integer(tags.BITS_STORED, bits)
    high = header.integer(tags.HIGH_BIT, stored - 1)
    native = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    if stored == bits:
        return native
    return (native << (bits - 1 - high)) >> (bits - stored)


def _frames_of(header: DicomHeader, place: PixelPlace) -> list[bytes]:
    """The compressed bytes of every frame, put together from its fragments by the offset table (PS3.5, A.4)."""
    parts = []
    with readable(header.path), header.elements.open() as file:
        for start, length in place.parts:
            file.seek(start)
            parts.append(file.read(length))
    table, fragments = (parts[0], parts[1:]) if parts else (b"", [])
    if header.frames == 1:
        return [b"".join(fragments)]
    if len(fragments) == header.frames:
        return fragments
    starts, seen = [int(v) for v in np.frombuffer(table[: len(table) // 4 * 4], "<u4")], 0
    frames: list[bytes] = []
    for fragment in fragments:
        if seen in starts:
            frames.append(b"")
        if not frames:
            break
        frames[-1] += fragment
        seen += len(fragment) + 8
    if len(frames) != header.frames:
        raise InputError(f"{header.path}: lacks part of its frames; copy or export the series again")
    return frames
