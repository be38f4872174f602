"""What a volume file says of itself, checked before any voxel is read."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.errors import InputError

VOLUME_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
_DETACHED = (".nhdr", ".mhd", ".hdr")
# Deflate cannot make anything smaller than by this factor.
_DEFLATE_LIMIT = 1032
# Voxels of a NIfTI file begin no earlier.
_SMALLEST_HEADER = 352
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
    reader = _opened(path)
    _check_dimensions(path, reader)
    _check_pixels(path, reader)
    _check_geometry(path, reader)
    _check_extent(path, reader)
    return reader


def check_whole(path: Path) -> None:
    """InputError unless the file just written can hold what its header announces."""
    _check_extent(path, _opened(path))


def _opened(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, str(error)) from error
    return reader


def _unreadable(path: Path, reason: str) -> InputError:
    if "orthonormal" in reason.lower():
        return InputError(f"{path}: its axes are not perpendicular (sheared); resample it to a regular grid first")
    if "spacing" in reason.lower():
        return InputError(f"{path}: a voxel spacing is zero or negative; correct the header")
    if _is_nifti(path) and not _has_nifti_header(path):
        return InputError(f"{path}: is not a NIfTI file in spite of its name; export it again")
    return InputError(f"{path}: cannot be read as a volume (NIfTI, NRRD, MHA, DICOM); check or export it again")


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
    if _is_nifti(path):
        spacing += _nifti_spacing(path)
    if not np.all(np.isfinite(spacing)) or min(spacing) <= 0:
        raise InputError(f"{path}: a voxel spacing is zero or negative; correct the header")
    if min(reader.GetSize()[:3]) < 2:
        size = " x ".join(map(str, reader.GetSize()[:3]))
        raise InputError(f"{path}: is only one voxel thin ({size}); a volume of several slices is needed")
    n = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(n, n)[:3, :3]
    if not np.allclose(direction @ direction.T, np.eye(3), atol=1e-3):
        raise InputError(f"{path}: its axes are not perpendicular (sheared); resample it to a regular grid first")


def _check_extent(path: Path, reader: sitk.ImageFileReader) -> None:
    """Compare what the header announces with what the file can hold, before anything is allocated."""
    needed = int(np.prod([int(n) for n in reader.GetSize()])) * _PIXEL_BYTES[reader.GetPixelID()]
    if path.name.lower().endswith(_DETACHED):
        present = sum(f.stat().st_size for f in path.parent.glob(f"{path.name.partition('.')[0]}.*"))
        compressed = True
    else:
        present, compressed = path.stat().st_size, _is_compressed(path)
    if needed > present * (_DEFLATE_LIMIT if compressed else 1):
        raise InputError(
            f"{path}: its header announces {needed / 1e6:.0f} MB, but the file has {present / 1e6:.3g} MB: "
            "truncated or no real volume; export or copy it again"
        )
    if path.name.lower().endswith(".gz"):
        _check_gzip(path, needed)


def _check_gzip(path: Path, needed: int) -> None:
    """A truncated gzip file: its last four bytes then are not the unpacked size. In doubt it is read to the end."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        announced = struct.unpack("<I", file.read(4))[0]
    if _SMALLEST_HEADER <= announced - needed % 2**32 < 2**20:
        return
    try:
        with gzip.open(path) as stream:
            length = 0
            while block := stream.read(2**22):
                length += len(block)
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: the compressed file is truncated or damaged; copy or export it again") from error
    if length < needed + _SMALLEST_HEADER:
        raise InputError(f"{path}: holds fewer voxels than its header announces; export it again")


def not_finite(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Where the floats of a NIfTI file are NaN or infinite, bool of `shape` [Z, Y, X]; None if nowhere.

    Readers silently turn such voxels into zeros. Other formats keep them, and are not looked at.
    """
    head = _nifti_header(path) if _is_nifti(path) else b""
    if len(head) < 348 or path.name.lower().endswith(_DETACHED):
        return None
    order = "<" if struct.unpack("<i", head[:4])[0] == 348 else ">"
    code = {16: "f4", 64: "f8"}.get(struct.unpack(f"{order}h", head[70:72])[0])
    if code is None:
        return None
    offset, kind = int(struct.unpack(f"{order}f", head[108:112])[0]), np.dtype(order + code)
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
        stream.seek(offset)
        voxels = np.frombuffer(stream.read(int(np.prod(shape)) * kind.itemsize), kind)
    bad: np.ndarray = ~np.isfinite(voxels)
    return bad.reshape(shape) if bad.any() else None


def _is_compressed(path: Path) -> bool:
    if path.name.lower().endswith(".gz"):
        return True
    with path.open("rb") as file:
        head = file.read(16_384)
    return b"encoding: gz" in head or b"CompressedData = True" in head or b"encoding: bz" in head


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz", ".hdr"))


def _nifti_header(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
            return stream.read(348)
    except (OSError, EOFError):
        return b""


def _has_nifti_header(path: Path) -> bool:
    head = _nifti_header(path)
    return len(head) == 348 and (head[344:347] in (b"n+1", b"ni1") or struct.unpack("<i", head[:4])[0] == 348)


def _nifti_spacing(path: Path) -> list[float]:
    """pixdim[1..3] as written; readers silently make zero or negative ones positive."""
    head = _nifti_header(path)
    if len(head) < 348:
        return []
    order = "<" if struct.unpack("<i", head[:4])[0] == 348 else ">"
    if struct.unpack(f"{order}i", head[:4])[0] != 348:  # NIfTI-2 has another layout, which readers check themselves
        return []
    return list(struct.unpack(f"{order}3f", head[80:92]))
