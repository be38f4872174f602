"""NIfTI-1, NIfTI-2 and Analyze headers, read and written. Layout: nifti1.h and nifti2.h of https://nifti.nimh.nih.gov.

Nothing is mended in silence: a header that contradicts itself is refused.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.file_names import resolved
from LiverMRISegLib.io.nifti_place import UNITS, NiftiForms, place_of
from LiverMRISegLib.io.stored import GZIP, RAW, Stored, readable
from LiverMRISegLib.io.volume_header import ORIENTATION_UNKNOWN, VolumeHeader

_GZIP_MAGIC, _GZIP_BITS, _ENOUGH_PACKED = b"\x1f\x8b", 31, 2**16
_KINDS = {
    2: "u1", 256: "i1", 4: "i2", 512: "u2", 8: "i4", 768: "u4", 1024: "i8", 1280: "u8", 16: "f4", 64: "f8",
}  # fmt: skip
_CODES = {np.dtype(kind): code for code, kind in _KINDS.items()}
_COMPLEX, _COLOURS = (32, 1792, 2048), {128: 3, 2304: 4}
# Field: type and place, of NIfTI-1 and of NIfTI-2.
_FIELDS_1 = {
    "descrip": ("80s", 148), "dim": ("8h", 40), "datatype": ("h", 70), "bitpix": ("h", 72), "pixdim": ("8f", 76),
    "vox_offset": ("f", 108), "scl": ("2f", 112), "xyzt_units": ("B", 123), "codes": ("2h", 252),
    "quaternion": ("3f", 256), "offset": ("3f", 268), "rows": ("12f", 280),
}  # fmt: skip
_FIELDS_2 = {
    "descrip": ("80s", 240), "dim": ("8q", 16), "datatype": ("h", 12), "bitpix": ("h", 14), "pixdim": ("8d", 104),
    "vox_offset": ("q", 168), "scl": ("2d", 176), "xyzt_units": ("i", 500), "codes": ("2i", 344),
    "quaternion": ("3d", 352), "offset": ("3d", 376), "rows": ("12d", 400),
}  # fmt: skip
_SIZE_1, _SIZE_2 = 348, 540
# After the header four bytes say whether extensions follow.
_VOXELS_AT = 352
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}


def read_nifti(path: Path) -> VolumeHeader:
    """The header of a .nii, .nii.gz or .hdr file.

    Raises:
        InputError: it is not NIfTI or Analyze, contradicts itself, or has voxels that are not intensities.
    """
    head = _first_bytes(path)
    order, version = _kind_of(path, head)
    fields = _fields(head, order, _FIELDS_1 if version == 1 else _FIELDS_2)
    magic = head[344:347] if version == 1 else head[4:7]
    is_analyze = version == 1 and magic not in (b"n+1", b"ni1")
    size, frames, values = _sizes(path, fields["dim"])
    values *= _COLOURS.get(fields["datatype"], 1)
    kind = _voxel_kind(path, fields["datatype"], fields["bitpix"], order)
    forms = _forms(fields, is_analyze)
    geometry, notes = place_of(path, forms, size)
    metadata: dict[str, Any] = {"nifti_forms": forms}
    if forms.qform_code <= 0 and forms.sform_code <= 0:
        metadata |= ORIENTATION_UNKNOWN
    if notes:
        metadata["notes"] = notes
    if frames > 1 and (unit := _SECONDS.get(fields["xyzt_units"] & 0x38)):
        metadata["seconds a frame"] = fields["pixdim"][4] * unit
    stored = _stored(path, magic[:3] in (b"n+1", b"n+2"), fields["vox_offset"], version)
    scale = None if is_analyze else _scale(path, *fields["scl"])
    comment = fields["descrip"].partition(b"\0")[0].decode("latin-1")
    return VolumeHeader(kind, geometry, stored, frames, values=values, scale=scale, metadata=metadata, comment=comment)


def read_nifti_pair(image: Path) -> VolumeHeader:
    """As `read_nifti`, of the .hdr that belongs to an .img file."""
    stem = image.name[: image.name.lower().rindex(".img")]
    with readable(image):
        headers = [file for end in (".hdr", ".HDR") if (file := image.with_name(stem + end)).is_file()]
    if not headers:
        raise InputError(f"{image}: its header, {stem}.hdr, is missing; keep the two together")
    header = read_nifti(headers[0])
    if header.stored.files != (image,):
        raise InputError(f"{image}: is not the file that {headers[0].name} belongs to; give that one")
    return header


def nifti_bytes(kind: np.dtype, size: tuple[int, int, int], forms: NiftiForms, comment: str = "") -> bytes:
    """The header of a single-file NIfTI-1 image, up to its first voxel; `comment` is ASCII, of 79 characters at most.

    Raises:
        ValueError: an axis is longer than the format can say.
    """
    if max(size) > np.iinfo(np.int16).max:
        raise ValueError(f"{max(size)} voxels along an axis, NIfTI-1 has at most {np.iinfo(np.int16).max}")
    head = bytearray(_VOXELS_AT)
    values: Mapping[str, tuple[float | bytes, ...]] = {
        "descrip": (comment.encode("ascii"),),
        "dim": (3, *size, 1, 1, 1, 1),
        "datatype": (_CODES[kind],),
        "bitpix": (kind.itemsize * 8,),
        "pixdim": (forms.handedness, *forms.spacing, 0, 0, 0, 0),
        "vox_offset": (_VOXELS_AT,),
        "scl": (1, 0),
        "xyzt_units": (forms.unit,),
        "codes": (forms.qform_code, forms.sform_code),
        "quaternion": forms.quaternion,
        "offset": forms.offset,
        "rows": tuple(itertools.chain.from_iterable(forms.rows)),
    }
    struct.pack_into("<i", head, 0, _SIZE_1)
    struct.pack_into("c", head, 38, b"r")
    struct.pack_into("4s", head, 344, b"n+1")
    for name, numbers in values.items():
        kinds, place = _FIELDS_1[name]
        struct.pack_into("<" + kinds, head, place, *numbers)
    return bytes(head)


def _first_bytes(path: Path) -> bytes:
    with readable(path), path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not packed:
            return file.read(_SIZE_2)
        if not path.name.lower().endswith(".gz"):
            raise InputError(f"{path}: is compressed; rename it to {path.name}.gz")
        return _unpacked_start(path, file)


def _unpacked_start(path: Path, file: BinaryIO) -> bytes:
    try:
        return zlib.decompressobj(_GZIP_BITS).decompress(file.read(_ENOUGH_PACKED), _SIZE_2)
    except zlib.error as error:
        raise InputError(f"{path}: the compressed file is truncated or damaged; copy or export it again") from error


def _kind_of(path: Path, head: bytes) -> tuple[str, int]:
    """Byte order, as in struct, and version."""
    for order, (version, size) in itertools.product("<>", ((1, _SIZE_1), (2, _SIZE_2))):
        if len(head) >= size and struct.unpack_from(order + "i", head)[0] == size:
            if version == 2 and head[4:7] not in (b"n+2", b"ni2"):
                break
            return order, version
    raise InputError(f"{path}: is not a NIfTI file in spite of its name; export it again")


def _fields(head: bytes, order: str, layout: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (kinds, place) in layout.items():
        values = struct.unpack_from(order + kinds, head, place)
        found[name] = values if len(values) > 1 else values[0]
    return found


def _sizes(path: Path, dim: tuple[int, ...]) -> tuple[tuple[int, int, int], int, int]:
    """Size of the grid, number of frames, values a voxel."""
    if not 1 <= dim[0] <= 7 or min(dim[1 : 1 + dim[0]]) < 1:
        raise InputError(f"{path}: its header gives no size; export it again")
    size = list(dim[1 : 1 + dim[0]])
    if len(size) < 3:
        raise InputError(f"{path}: is a {len(size)}D image, a 3D volume is needed")
    frames, values = [*size[3:], 1, 1][:2]
    if math.prod(size[3:]) not in (frames, values):
        raise InputError(f"{path}: is a {len(size)}D image, a 3D volume is needed")
    return (size[0], size[1], size[2]), frames, values


def _voxel_kind(path: Path, datatype: int, bits: int, order: str) -> np.dtype:
    if datatype in _COMPLEX:
        raise InputError(f"{path}: contains complex numbers; save the magnitude")
    if datatype in _COLOURS:
        return np.dtype("u1")
    if datatype not in _KINDS:
        raise InputError(f"{path}: voxels of NIfTI type {datatype} cannot be read; save them as integers or floats")
    kind = np.dtype(order + _KINDS[datatype])
    if bits not in (0, kind.itemsize * 8):
        raise InputError(
            f"{path}: its header contradicts itself (voxels of type {datatype} have {kind.itemsize * 8} bits, "
            f"not {bits}); export it again"
        )
    return kind


def _forms(fields: Mapping[str, Any], is_analyze: bool) -> NiftiForms:
    qform_code, sform_code = (0, 0) if is_analyze else fields["codes"]
    unit = 0 if is_analyze else fields["xyzt_units"] & 7
    rows = fields["rows"]
    return NiftiForms(
        qform_code=qform_code,
        sform_code=sform_code,
        handedness=-1.0 if fields["pixdim"][0] < 0 else 1.0,
        spacing=fields["pixdim"][1:4],
        # What no code makes valid is not passed on to the mask either.
        quaternion=fields["quaternion"] if qform_code > 0 else (0.0, 0.0, 0.0),
        offset=fields["offset"] if qform_code > 0 else (0.0, 0.0, 0.0),
        rows=(rows[:4], rows[4:8], rows[8:]) if sform_code > 0 else ((0.0,) * 4,) * 3,
        unit=unit if unit in UNITS else 0,
    )


def _scale(path: Path, slope: float, intercept: float) -> tuple[float, float] | None:
    """Slope and intercept, None where the stored numbers are meant; a slope of 0 or none says so."""
    if slope == 0 or not math.isfinite(slope) or (slope, intercept) == (1, 0):
        return None
    if not math.isfinite(intercept):
        raise InputError(f"{path}: its header scales the voxels by {slope:g} and adds {intercept}; export it again")
    return slope, intercept


def _stored(path: Path, is_single: bool, offset: float, version: int) -> Stored:
    least = (_SIZE_1 if version == 1 else _SIZE_2) + 4 if is_single else 0
    if is_single and offset == 0:  # "right after the header"
        offset = least
    if not math.isfinite(offset) or offset != int(offset) or offset < least:
        raise InputError(f"{path}: its header gives no place for its voxels (vox_offset {offset:g}); export it again")
    data = path if is_single else _image_beside(path)
    with readable(path), data.open("rb") as file:
        encoding = GZIP if file.read(2) == _GZIP_MAGIC else RAW
    return Stored(path, (data,), encoding, skip=int(offset))


def _image_beside(path: Path) -> Path:
    """The .img of a .hdr, in the same letters."""
    stem, ending = path.name[:-4], path.name[-4:]
    if ending.lower() != ".hdr":
        raise InputError(f"{path}: is the header of a pair of files (.hdr and .img) by its content; rename it to .hdr")
    names = [stem + (".IMG" if ending.isupper() else ".img"), stem + ".img", stem + ".IMG"]
    names += [name + end for name in names for end in (".gz", ".GZ")]
    with readable(path):
        found = {resolved(file): file for name in names if (file := path.with_name(name)).is_file()}
    if not found:
        raise InputError(f"{path}: the file with its voxels, {names[0]}, is missing; keep the two together")
    if len(found) > 1:
        listed = ", ".join(sorted(file.name for file in found.values()))
        raise InputError(f"{path}: its voxels can be in several files ({listed}); keep only the right one")
    return next(iter(found.values()))
