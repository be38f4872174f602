"""Compressed DICOM pixels: RLE in Python, the JPEG family by GDCM in a process of its own.

GDCM never sees the file: it gets one small DICOM file a frame, made here, with the compressed bytes and the numbers
that were checked. What a damaged frame does to it ends with the child process, which has limits of time and memory.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.header import DicomHeader

RLE = "1.2.840.10008.1.2.5"
# JPEG baseline, extended, lossless; JPEG-LS; JPEG 2000.
NATIVE_CODECS = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in ("50", "51", "57", "70", "80", "81", "90", "91")
)
# Markers of frames: baseline, extended, lossless; JPEG-LS.
_FRAME_HEADERS = (0xC0, 0xC1, 0xC3, 0xF7)
_SECONDS, _MEMORY = 120, 3 * 2**30


@dataclass(frozen=True)
class CompressedFrame:
    """The compressed bytes of a frame of the file of `header`, whose pixels are of the type `kind`."""

    header: DicomHeader
    content: bytes
    kind: np.dtype


def unpack_rle(path: Path, frame: bytes, kind: np.dtype, shape: tuple[int, int]) -> np.ndarray:
    """The pixels of one frame of RLE (PS3.5, annex G): a segment for each byte of a pixel, the highest first.

    Raises:
        InputError: the segments are not those of `kind` and `shape`.
    """
    count, size = shape[0] * shape[1], kind.itemsize
    starts = struct.unpack("<16I", frame[:64]) if len(frame) >= 64 else (0,)
    if starts[0] != size:
        raise _damaged(path)
    bounds = [*starts[1 : size + 1], len(frame)]
    pixels = np.empty((count, size), np.uint8)
    for number in range(size):
        segment = frame[bounds[number] : bounds[number + 1]]
        pixels[:, size - 1 - number] = np.frombuffer(_unpacked(path, segment, count), np.uint8)
    return pixels.view(kind.newbyteorder("<")).reshape(shape)


def _unpacked(path: Path, segment: bytes, count: int) -> bytes:
    found, place = bytearray(), 0
    while place < len(segment) and len(found) < count:
        length = segment[place]
        if length < 128:
            found += segment[place + 1 : place + 2 + length]
            place += 2 + length
        elif length > 128:
            found += segment[place + 1 : place + 2] * (257 - length)
            place += 2
        else:
            place += 1
    if len(found) < count:
        raise _damaged(path)
    return bytes(found[:count])


def decode_by_gdcm(frames: Sequence[CompressedFrame]) -> list[np.ndarray]:
    """The pixels [Y, X] of JPEG, JPEG-LS or JPEG 2000 frames.

    Raises:
        InputError: they are damaged, or need more time or memory than any real image.
    """
    needed = sum(frame.header.rows * frame.header.columns * frame.kind.itemsize for frame in frames)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number, frame in enumerate(frames):
            (folder / f"{number}.dcm").write_bytes(_one_frame(frame.header, frame.content))
        script = str(Path(__file__).with_name("decode_frames.py"))
        # What fails shows in the frames that are missing then.
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            subprocess.run(
                [sys.executable, script, place, str(len(frames)), str(_MEMORY)], timeout=_SECONDS + needed / 1e6,
                check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
            )  # fmt: skip
        return [_decoded(folder / f"{number}.npy", frame) for number, frame in enumerate(frames)]


def _decoded(path: Path, frame: CompressedFrame) -> np.ndarray:
    header = frame.header
    try:
        pixels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(header.path) from error
    kind = frame.kind.newbyteorder("=")
    if pixels.shape != (header.rows, header.columns) or not np.can_cast(pixels.dtype, kind):
        raise _unreadable(header.path)
    return pixels.astype(kind, copy=False)


def _one_frame(header: DicomHeader, frame: bytes) -> bytes:
    """A DICOM file of one image, with nothing in it but what its pixels need."""
    syntax = header.elements.syntax
    uid = "1.2.826.0.1.3680043.10.1"
    bits = header.integer(tags.BITS_ALLOCATED)
    stored = header.integer(tags.BITS_STORED, bits)
    high = header.integer(tags.HIGH_BIT, stored - 1)
    if bits > 8 and 0 < _precision(frame) <= 8:  # GDCM wants no more bits allocated than were packed
        bits, stored, high = 8, 8, 7
    meta = b"".join(
        _element(0x0002, number, b"UI", _padded(value))
        for number, value in ((0x0002, "1.2.840.10008.5.1.4.1.1.4"), (0x0003, uid), (0x0010, syntax))
    )
    numbers = (
        (0x0010, header.rows), (0x0011, header.columns), (0x0100, bits), (0x0101, stored),
        (0x0102, high), (0x0103, header.integer(tags.SIGNED, 0)),
    )  # fmt: skip
    frame += b"\0" * (len(frame) % 2)
    return b"".join(
        (
            b"\0" * 128 + b"DICM",
            _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta))) + meta,
            _element(0x0008, 0x0016, b"UI", _padded("1.2.840.10008.5.1.4.1.1.4")),
            _element(0x0008, 0x0018, b"UI", _padded(uid)),
            _element(0x0008, 0x0060, b"CS", b"MR"),
            _element(0x0028, 0x0002, b"US", struct.pack("<H", 1)),
            _element(0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
            *(_element(0x0028, number, b"US", struct.pack("<H", value)) for number, value in numbers),
            struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff",
            struct.pack("<HHI", 0xFFFE, 0xE000, 0),
            struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame,
            struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
        )
    )


def _precision(frame: bytes) -> int:
    """The bits of a packed pixel by the frame's own header (SOF of JPEG and JPEG-LS, SIZ of JPEG 2000), 0 without."""
    if frame[:4] == b"\xff\x4f\xff\x51":
        return (frame[42] & 0x7F) + 1 if len(frame) > 42 else 0
    place = 2
    while frame[place : place + 1] == b"\xff" and place + 4 < len(frame):
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker in _FRAME_HEADERS:
            return frame[place + 4]
        place += 2 + length
    return 0


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def _element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: its compressed pixels are truncated or damaged; copy or export it again")


def _unreadable(path: Path) -> InputError:
    return InputError(
        f"{path}: its compressed pixels are truncated, damaged or of a kind that cannot be unpacked; copy it again, or "
        "export it uncompressed"
    )
