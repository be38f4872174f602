"""Whether a DICOM file holds all its pixels: readers fill missing ones with whatever lies in memory."""

from __future__ import annotations

from pathlib import Path

# Pixel Data (7FE0,0010), little endian; explicit files put VR and two spare bytes between tag and length.
_TAG = b"\xe0\x7f\x10\x00"
_EXPLICIT_VRS = (b"OW\0\0", b"OB\0\0")
_UNDEFINED = 0xFFFFFFFF


def lacks_pixels(path: Path, expected: int) -> bool:
    """Whether the pixel data of an uncompressed file are shorter than `expected` bytes.

    Compressed pixel data have no length of their own; they are not looked at.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - expected - 13))
        if _length(file.read(13 + 8)) == expected + expected % 2:  # the last element of the file, as nearly always
            return False
        file.seek(0)
        length = _length(file.read())
    return length is not None and length != _UNDEFINED and length < expected


def _length(content: bytes) -> int | None:
    """What the last pixel data element of `content` says of its length; None where there is none."""
    place = content.rfind(_TAG)
    if place < 0:
        return None
    after = place + 4
    if content[after : after + 4] in _EXPLICIT_VRS:
        after += 4
    return int.from_bytes(content[after : after + 4], "little")
