"""What a volume file says of itself, checked before any voxel is read."""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.nifti import DAMAGED, TYPES, NiftiHeader, is_gzip, is_nifti, open_plain, read_nifti_header

T = TypeVar("T")
logger = logging.getLogger(__name__)
# Deflate cannot make anything smaller than by this factor.
_DEFLATE_LIMIT = 1032
_MHA_LOCAL, _MHA_PACKED = rb"ElementDataFile *= *LOCAL\r?\n", rb"CompressedDataSize *= *(\d+)"
_PIXEL_BYTES = {
    sitk.sitkUInt8: 1, sitk.sitkInt8: 1, sitk.sitkUInt16: 2, sitk.sitkInt16: 2, sitk.sitkUInt32: 4, sitk.sitkInt32: 4,
    sitk.sitkUInt64: 8, sitk.sitkInt64: 8, sitk.sitkFloat32: 4, sitk.sitkFloat64: 8,
}  # fmt: skip


def read_header(path: Path) -> sitk.ImageFileReader:
    """A reader that has read the header of `path`, found to be one of a 3D scalar volume that fits the file.

    A fourth dimension of length 1 is passed over: the reader then extracts the only frame.

    Raises:
        InputError: missing, empty, no volume, not 3D, not scalar, spacing or direction impossible, truncated.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; export or copy it again")
    data_file(path)
    nifti = read_nifti_header(path) if is_nifti(path) else None
    if nifti is not None:
        _check_nifti(path, nifti)
    reader = _opened(path)
    _check_dimensions(path, reader)
    _check_pixels(path, reader)
    _check_geometry(path, reader)
    _check_extent(path, reader, nifti)
    return reader


def is_dicom_file(path: Path) -> bool:
    """Whether the file begins as DICOM files do."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def quietly(call: Callable[[], T]) -> T:
    """Run a reader without its warnings of several lines; errors are still raised."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        return call()
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def check_whole(path: Path) -> None:
    """InputError unless the file just written can hold what its header announces."""
    _check_extent(path, _opened(path), read_nifti_header(path) if is_nifti(path) else None)


def _opened(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        quietly(reader.ReadImageInformation)
    except RuntimeError as error:
        raise _unreadable(path, str(error)) from error
    return reader


def _unreadable(path: Path, reason: str) -> InputError:
    if "orthonormal" in reason.lower():
        return InputError(f"{path}: its axes are not perpendicular (sheared); resample it to a regular grid first")
    if "spacing" in reason.lower():
        return InputError(f"{path}: a voxel spacing is zero or negative; correct the header")
    return InputError(f"{path}: cannot be read as a volume (NIfTI, NRRD, MHA, DICOM); check or export it again")


def _check_nifti(path: Path, header: NiftiHeader) -> None:
    """What the reader would mend in silence, or complain of in many lines."""
    if is_gzip(path) and not path.name.lower().endswith(".gz"):
        raise InputError(f"{path}: is compressed; rename it to {path.name}.gz")
    if not 1 <= len(header.size) <= 7 or min(header.size) < 1:
        raise InputError(f"{path}: its header gives no size; export it again")
    if header.datatype not in TYPES:
        raise InputError(
            f"{path}: voxels of NIfTI type {header.datatype} cannot be read; save them as integers or floats"
        )
    if not np.all(np.isfinite(header.spacing)) or min(header.spacing[: len(header.size)]) <= 0:
        raise InputError(f"{path}: a voxel spacing is zero or negative; correct the header")
    if not header.place_is_finite:
        raise InputError(f"{path}: its header gives no place in space (NaN); correct the header or export it again")
    if header.is_sheared and header.has_qform:
        logger.warning("%s: the axes of its sform are not perpendicular; its qform is used", path.name)


def _check_dimensions(path: Path, reader: sitk.ImageFileReader) -> None:
    size = reader.GetSize()
    if len(size) == 4 and size[3] == 1:
        reader.SetExtractSize([*size[:3], 0])
        return
    if len(size) == 4:
        raise InputError(f"{path}: has {size[3]} frames; save the one to segment as a 3D volume")
    if len(size) != 3:
        raise InputError(f"{path}: is a {len(size)}D image, a 3D volume is needed")


def _check_pixels(path: Path, reader: sitk.ImageFileReader) -> None:
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in kind:
        raise InputError(f"{path}: holds complex numbers; save the magnitude")
    if reader.GetNumberOfComponents() != 1:
        count = reader.GetNumberOfComponents()
        raise InputError(f"{path}: has {count} values per voxel (colour or vectors); save it as a grey volume")
    if reader.GetPixelID() not in _PIXEL_BYTES:
        raise InputError(f"{path}: voxels of type '{kind}' are no intensities; save them as 16-bit integers or floats")


def _check_geometry(path: Path, reader: sitk.ImageFileReader) -> None:
    spacing = list(reader.GetSpacing()[:3])
    if not np.all(np.isfinite(spacing)) or min(spacing) <= 0:
        raise InputError(f"{path}: a voxel spacing is zero or negative; correct the header")
    if min(reader.GetSize()[:3]) < 2:
        size = " x ".join(map(str, reader.GetSize()[:3]))
        raise InputError(f"{path}: is only one voxel thin ({size}); a volume of several slices is needed")
    if not np.all(np.isfinite(reader.GetOrigin())):
        raise InputError(f"{path}: its header gives no place in space (NaN); correct the header or export it again")
    n = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(n, n)[:3, :3]
    if not np.allclose(direction @ direction.T, np.eye(3), atol=1e-3):
        raise InputError(f"{path}: its axes are not perpendicular (sheared); resample it to a regular grid first")


def _check_extent(path: Path, reader: sitk.ImageFileReader, nifti: NiftiHeader | None) -> None:
    """Compare what the header announces with what the file can hold, before anything is allocated."""
    count, voxel_bytes, start = int(np.prod([int(n) for n in reader.GetSize()])), _PIXEL_BYTES[reader.GetPixelID()], 0
    _check_memory(path, count * voxel_bytes)
    if nifti is not None:  # scaled integers are announced as the floats that they become
        voxel_bytes, start = nifti.voxel_bytes or voxel_bytes, nifti.voxels_at
    else:
        _check_metaimage(path)
    needed, data = count * voxel_bytes, data_file(path)
    if data is None:
        return
    present = data.stat().st_size
    if needed + start > present * (_DEFLATE_LIMIT if _is_compressed(path) or is_gzip(data) else 1):
        raise InputError(
            f"{path}: its header announces {_megabytes(needed)}, but the file has {_megabytes(present)}: "
            "truncated or no real volume; export or copy it again"
        )
    if is_nifti(path) and is_gzip(data):
        _check_gzip(path, data, needed + start)


def _check_metaimage(path: Path) -> None:
    """MetaImage's header tells how many bytes of compressed voxels follow; its reader complains in many lines."""
    with path.open("rb") as file:
        head = file.read(16_384)
    local, packed = (re.search(rb"(?m)^" + key, head) for key in (_MHA_LOCAL, _MHA_PACKED))
    if local and packed and local.end() + int(packed[1]) > path.stat().st_size:
        raise InputError(f"{path}: the compressed file is truncated; copy or export it again")


def _check_memory(path: Path, needed: int) -> None:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows does not tell
        return
    if 0 < memory < needed:
        raise InputError(
            f"{path}: its header announces {_megabytes(needed)}, more than this computer's memory "
            f"({_megabytes(memory)}); crop or resample it first"
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.2g} MB"


def data_file(path: Path) -> Path | None:
    """The file with the voxels: `path`, or the one that a detached header names; None where it names several.

    Raises:
        InputError: it is not there.
    """
    name = path.name.lower()
    if name.endswith(".hdr"):
        candidates = [path.with_suffix(ending) for ending in (".img", ".img.gz", ".IMG")]
    elif name.endswith((".mhd", ".nhdr")):
        with path.open(encoding="latin-1") as file:
            named = re.search(r"(?im)^(?:ElementDataFile\s*=|data\s?file:)[ \t]*(.+?)\s*$", file.read(2**16))
        if named is None or " " in named[1] or named[1].upper() in ("LIST", "LOCAL"):
            return None
        candidates = [path.parent / named[1]]
    else:
        return path
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"{path}: the file with its voxels, {candidates[0].name}, is missing; keep the two together")


def _check_gzip(path: Path, data: Path, needed: int) -> None:
    """A truncated gzip file: its last four bytes then are not the unpacked size. In doubt it is read to the end."""
    with data.open("rb") as file:
        file.seek(-4, 2)
        announced = struct.unpack("<I", file.read(4))[0]
    if 0 <= announced - needed % 2**32 < 2**20:
        return
    try:
        with open_plain(data) as stream:
            length = 0
            while block := stream.read(2**22):
                length += len(block)
    except DAMAGED as error:
        raise InputError(f"{path}: the compressed file is truncated or damaged; copy or export it again") from error
    if length < needed:
        raise InputError(f"{path}: holds fewer voxels than its header announces; export it again")


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16_384)
    return b"encoding: gz" in head or b"CompressedData = True" in head or b"encoding: bz" in head
