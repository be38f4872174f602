"""NRRD headers, read and written (https://teem.sourceforge.net/nrrd/format.html); `nrrd_axes` says what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.nrrd_axes import layout_of
from LiverMRISegLib.io.split_files import voxel_files
from LiverMRISegLib.io.stored import ASCII, AT_END, BZIP2, GZIP, HEX, RAW, Stored, readable, shortened
from LiverMRISegLib.io.volume_header import VolumeHeader, whole_numbers
from LiverMRISegLib.volume import Geometry

_MAGIC = re.compile(rb"NRRD000[1-9]\s*")
_FIELDS = frozenset(
    {
        "content", "number", "type", "blocksize", "dimension", "space", "spacedimension", "sizes", "spacings",
        "thicknesses", "axismins", "axismaxs", "spacedirections", "centers", "centerings", "kinds", "labels", "units",
        "min", "max", "oldmin", "oldmax", "endian", "encoding", "lineskip", "byteskip", "sampleunits", "spaceunits",
        "spaceorigin", "measurementframe", "datafile",
    }
)  # fmt: skip
_ENCODINGS = {
    "raw": RAW, "txt": ASCII, "text": ASCII, "ascii": ASCII, "hex": HEX, "gz": GZIP, "gzip": GZIP, "bz2": BZIP2,
    "bzip2": BZIP2,
}  # fmt: skip
_TYPES = {
    "i1": "signed char,int8,int8_t", "u1": "uchar,unsigned char,uint8,uint8_t",
    "i2": "short,short int,signed short,signed short int,int16,int16_t",
    "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
    "i4": "int,signed int,int32,int32_t", "u4": "uint,unsigned int,uint32,uint32_t",
    "i8": "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
    "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
    "f4": "float", "f8": "double",
}  # fmt: skip
_KINDS = {name: kind for kind, names in _TYPES.items() for name in names.split(",")}
_LONGEST_HEADER, _MOST_LINES = 2**22, 20_000
MADE_BY = "LiverMRISeg.MadeBy"


def read_nrrd(path: Path) -> VolumeHeader:
    """The header of a .nrrd, .seg.nrrd or .nhdr file; `fields` are its key/value pairs.

    Raises:
        InputError: it is not NRRD, or contradicts itself, or its voxels are elsewhere or no intensities.
    """
    with readable(path), path.open("rb") as stream:
        fields, pairs, files = _parsed(path, stream)
        after = stream.tell()
    sizes = whole_numbers(path, "sizes", _needed(path, fields, "sizes"))
    if whole_numbers(path, "dimension", _needed(path, fields, "dimension")) != [len(sizes)]:
        raise InputError(f"{path}: its header contradicts itself (dimension and sizes); export it again")
    encoding = _ENCODINGS.get(_needed(path, fields, "encoding").lower())
    if encoding is None:
        raise InputError(f"{path}: encoding '{shortened(fields['encoding'])}' is not known; save it as raw or gzip")
    kind = _voxel_kind(path, fields, encoding)
    layout = layout_of(path, fields, sizes)
    stored = _stored(path, fields, files, encoding, after)
    return VolumeHeader(
        kind, layout.geometry, stored, layout.frames, layout.frames_first, layout.values, None, layout.metadata, pairs,
        pairs.get(MADE_BY, ""),
    )  # fmt: skip


def nrrd_bytes(kind: np.dtype, geometry: Geometry, pairs: Mapping[str, str]) -> bytes:
    """The header of a .nrrd file with gzipped little-endian voxels, up to the first of them."""
    columns = np.array(geometry.direction) * geometry.spacing
    name = _TYPES[kind.str[1:]].split(",")[0]
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {name}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, geometry.size))}",
        f"space directions: {' '.join(_vector(columns[:, axis]) for axis in range(3))}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin)}",
        *(f"{key}:={_escaped(value)}" for key, value in pairs.items()),
    ]
    return ("\n".join(lines) + "\n\n").encode()


def _parsed(path: Path, stream: BinaryIO) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Fields (by their names without blanks, in lower case), key/value pairs, and the names of a list of files."""
    if not _MAGIC.fullmatch(stream.readline(80)):
        raise InputError(f"{path}: is not an NRRD file in spite of its name; export it again")
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for _ in range(_MOST_LINES):
        line = stream.readline(_LONGEST_HEADER)
        text = line.rstrip(b"\r\n").decode("utf-8", "replace")
        if not text or stream.tell() > _LONGEST_HEADER:
            break
        if text.startswith("#"):
            continue
        _add_line(path, text, fields, pairs)
        if fields.get("datafile", "").upper().split()[:1] == ["LIST"]:
            return fields, pairs, stream.read(_LONGEST_HEADER).decode("utf-8", "surrogateescape").splitlines()
    else:
        text = "too long"
    if text:
        raise InputError(f"{path}: its header does not end; export it again")
    return fields, pairs, []


def _add_line(path: Path, text: str, fields: dict[str, str], pairs: dict[str, str]) -> None:
    key, found, value = text.partition(":=")
    if found and ": " not in key:
        pairs[_unescaped(key)] = _unescaped(value)
        return
    key, found, value = text.partition(": ")
    name = key.lower().replace(" ", "")
    if not found or name not in _FIELDS:
        raise InputError(f"{path}: its header has a line that NRRD does not know: {shortened(text)}; export it again")
    name = {"centerings": "centers"}.get(name, name)
    if name in fields:
        raise InputError(f"{path}: its header says '{shortened(key)}' twice; export it again")
    fields[name] = value.strip()


def _needed(path: Path, fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        raise InputError(f"{path}: its header lacks '{name}'; export it again")
    return fields[name]


def _voxel_kind(path: Path, fields: Mapping[str, str], encoding: str) -> np.dtype:
    name = " ".join(_needed(path, fields, "type").lower().split())
    if name not in _KINDS:
        raise InputError(f"{path}: voxels of NRRD type '{shortened(name)}' cannot be read; save integers or floats")
    kind = np.dtype(_KINDS[name])
    if encoding == ASCII or kind.itemsize == 1:
        return kind
    order = _needed(path, fields, "endian").lower()
    if order not in ("little", "big"):
        raise InputError(f"{path}: its header says 'endian: {shortened(order)}', which is not known; export it again")
    return kind.newbyteorder("<" if order == "little" else ">")


def _stored(path: Path, fields: Mapping[str, str], files: list[str], encoding: str, after: int) -> Stored:
    lines, skip = (whole_numbers(path, name, fields.get(name, "0"))[0] for name in ("lineskip", "byteskip"))
    if not 0 <= lines <= _MOST_LINES or skip < AT_END or (skip == AT_END and encoding != RAW):
        raise InputError(f"{path}: its header skips {lines} lines and {skip} bytes, which cannot be; export it again")
    if "datafile" in fields:
        found, start = voxel_files(path, fields["datafile"], files), 0
    elif path.name.lower().endswith(".nhdr"):
        raise InputError(f"{path}: names no file with its voxels; export it again")
    else:
        found, start = (path,), after
    if skip == AT_END:
        return Stored(path, found, encoding, AT_END)
    return Stored(path, found, encoding, start, skip, lines)


def _vector(numbers: np.ndarray | tuple[float, ...]) -> str:
    return "(" + ",".join(f"{float(v):.17g}" for v in numbers) + ")"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\n])", lambda m: "\n" if m[1] == "n" else "\\", text)
