"""MetaImage headers (.mha, .mhd), read and written (https://itk.org/Wiki/MetaIO/Documentation).

Names and words are taken in upper and lower case and with blanks or without, as people write them by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.split_files import voxel_files
from LiverMRISegLib.io.stored import ASCII, AT_END, RAW, ZLIB, Stored, readable, shortened
from LiverMRISegLib.io.volume_header import NO_ORIGIN, ORIENTATION_UNKNOWN, VolumeHeader, floats, grid, whole_numbers
from LiverMRISegLib.volume import Geometry

_KINDS = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_NAMES = {np.dtype(kind): name for name, kind in reversed(_KINDS.items())}
_SAME = {
    "position": "offset", "origin": "offset", "rotation": "transformmatrix", "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}  # fmt: skip
# Programs add lines of their own, whose names may have brackets and the like.
_LINE = re.compile(r"\s*([^=:]+?)\s*[=:](.*)")
_LONGEST_HEADER, _MOST_LINES = 2**20, 2_000


def read_metaimage(path: Path) -> VolumeHeader:
    """The header of a .mha or .mhd file.

    Raises:
        InputError: it is not MetaImage, lacks something, or its voxels are elsewhere or no intensities.
    """
    with readable(path), path.open("rb") as stream:
        fields = _parsed(path, stream)
        after = stream.tell()
        files = stream.read(_LONGEST_HEADER) if fields["elementdatafile"].upper().startswith("LIST") else b""
    dimension = whole_numbers(path, "NDims", _needed(path, fields, "NDims"))
    sizes = whole_numbers(path, "DimSize", _needed(path, fields, "DimSize"))
    if dimension != [len(sizes)]:
        raise InputError(f"{path}: its header contradicts itself (NDims and DimSize); export it again")
    if len(sizes) < 3 or any(n > 1 for n in sizes[4:]):
        raise InputError(f"{path}: is a {len(sizes)}D image, a 3D volume is needed")
    kind, values = _voxel_kind(path, fields)
    metadata: dict[str, Any] = {} if "transformmatrix" in fields else dict(ORIENTATION_UNKNOWN)
    metadata |= {} if "offset" in fields else NO_ORIGIN
    geometry = _geometry(path, fields, sizes)
    frames = sizes[3] if len(sizes) > 3 else 1
    if frames < 1:
        raise InputError(f"{path}: its header gives no size; export it again")
    if frames > 1 and len(step := floats(path, "ElementSpacing", _needed(path, fields, "ElementSpacing"))) > 3:
        metadata["seconds a frame"] = step[3]
    stored = _stored(path, fields, files.decode("utf-8", "surrogateescape").splitlines(), after)
    comment = fields.get("comment", "")
    return VolumeHeader(kind, geometry, stored, frames, values=values, metadata=metadata, comment=comment)


def metaimage_bytes(kind: np.dtype, geometry: Geometry, packed: int, comment: str = "") -> bytes:
    """The header of a .mha file with `packed` bytes of little-endian voxels, packed by zlib, up to the first."""
    rows = np.array(geometry.direction).T.ravel()
    lines = {
        "ObjectType": "Image",
        **({"Comment": comment} if comment else {}),
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(packed),
        "TransformMatrix": _text(rows),
        "Offset": _text(geometry.origin),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _text(geometry.spacing),
        "DimSize": " ".join(map(str, geometry.size)),
        "ElementType": _NAMES[kind],
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items()).encode()


def _parsed(path: Path, stream: BinaryIO) -> dict[str, str]:
    """The lines up to ElementDataFile, by their names in lower case."""
    fields: dict[str, str] = {}
    for _ in range(_MOST_LINES):
        line = stream.readline(_LONGEST_HEADER)
        if not line or stream.tell() > _LONGEST_HEADER:
            break
        found = _LINE.fullmatch(line.rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
        if found is None:
            if line.strip():
                break
            continue
        key = found[1].lower()
        key = _SAME.get(key, key)
        if key in fields and key != "comment":
            raise InputError(f"{path}: its header says '{shortened(found[1])}' twice; export it again")
        fields[key] = found[2].strip()
        if key == "elementdatafile":
            return fields
    raise InputError(f"{path}: is not a MetaImage file in spite of its name, or its header is damaged; export it again")


def _needed(path: Path, fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name.lower()):
        raise InputError(f"{path}: its header lacks '{name}'; export it again")
    return fields[name.lower()]


def _is_true(fields: Mapping[str, str], name: str, default: bool) -> bool:
    value = fields.get(name.lower(), "")
    return value[:1] in ("t", "T", "1", "y", "Y") if value else default


def _voxel_kind(path: Path, fields: Mapping[str, str]) -> tuple[np.dtype, int]:
    """Type of a stored number, and how many of them a voxel has."""
    name = _needed(path, fields, "ElementType").upper()
    base = name.removesuffix("_ARRAY")
    if base not in _KINDS:
        raise InputError(f"{path}: voxels of type {shortened(name)} cannot be read; save integers or floats")
    values = whole_numbers(path, "ElementNumberOfChannels", fields.get("elementnumberofchannels", "1"))[0]
    if values < 1:
        raise InputError(f"{path}: its voxels have {values} values; export it again")
    if not _is_true(fields, "BinaryData", True):
        return np.dtype(_KINDS[base]), values
    order = ">" if _is_true(fields, "BinaryDataByteOrderMSB", False) else "<"
    return np.dtype(order + _KINDS[base]), values


def _geometry(path: Path, fields: Mapping[str, str], sizes: list[int]) -> Geometry:
    count = len(sizes)
    unit = fields.get("distanceunits", "mm").lower()
    if unit not in ("mm", "?", ""):
        raise InputError(f"{path}: gives its lengths in {shortened(unit)}; save it in mm")
    if "elementspacing" not in fields and "elementsize" not in fields:
        raise InputError(f"{path}: its header gives no voxel spacing; add it, or export it again")
    key = "ElementSpacing" if "elementspacing" in fields else "ElementSize"
    spacing = floats(path, key, fields[key.lower()])
    origin = floats(path, "Offset", fields["offset"]) if "offset" in fields else [0.0] * count
    matrix = np.eye(count).ravel()
    if "transformmatrix" in fields:
        matrix = np.array(floats(path, "TransformMatrix", fields["transformmatrix"]))
    if len(spacing) != count or len(origin) != count or matrix.size != count * count:
        raise InputError(f"{path}: its header gives a place of another number of axes than NDims; export it again")
    # A line of the matrix is the direction of an axis.
    return grid(path, sizes[:3], spacing[:3], origin[:3], matrix.reshape(count, count).T[:3, :3])


def _stored(path: Path, fields: Mapping[str, str], lines: list[str], after: int) -> Stored:
    named = fields["elementdatafile"]
    start = whole_numbers(path, "HeaderSize", fields.get("headersize", "0"))[0]
    is_packed, is_binary = (_is_true(fields, name, name == "BinaryData") for name in ("CompressedData", "BinaryData"))
    encoding = ZLIB if is_packed else RAW if is_binary else ASCII
    if start < AT_END or (start == AT_END and encoding != RAW):
        raise InputError(f"{path}: its header says 'HeaderSize = {start}', which cannot be; export it again")
    packed = None
    if is_packed and "compresseddatasize" in fields:
        packed = whole_numbers(path, "CompressedDataSize", fields["compresseddatasize"])[0]
        if packed < 1:
            raise InputError(f"{path}: its header says 'CompressedDataSize = {packed}'; export it again")
    if named.upper() == "LOCAL":
        start = start if start == AT_END else after
        return Stored(path, (path,), encoding, start, packed=packed)
    files = voxel_files(path, named, lines)
    return Stored(path, files, encoding, start, packed=packed if len(files) == 1 else None)


def _text(numbers: np.ndarray | tuple[float, ...]) -> str:
    return " ".join(f"{float(v):.17g}" for v in numbers)
