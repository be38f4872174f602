"""The header of a volume file of any format, checked before a voxel is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS
from LiverMRISegLib.io.memory import check_fits_memory
from LiverMRISegLib.io.metaimage import read_metaimage
from LiverMRISegLib.io.nifti import read_nifti, read_nifti_pair
from LiverMRISegLib.io.nrrd import read_nrrd
from LiverMRISegLib.io.pointers import is_pointer
from LiverMRISegLib.io.stored import Span, check_sizes, read_bytes, readable
from LiverMRISegLib.io.volume_header import VolumeHeader

_FORMATS: dict[str, Callable[[Path], VolumeHeader]] = {
    ".nii.gz": read_nifti, ".nii": read_nifti, ".nrrd": read_nrrd, ".nhdr": read_nrrd, ".mha": read_metaimage,
    ".mhd": read_metaimage, ".hdr": read_nifti,
}  # fmt: skip
# The other half of a pair can be named too, but a folder's volumes are found by their headers.
_IMAGE_OF_A_PAIR = (".img", ".img.gz")
_DETACHED = (".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")


def read_header(path: Path) -> VolumeHeader:
    """The header of a file of grey volumes whose voxels can be in it.

    Raises:
        InputError: missing, empty, not a volume, not 3D, not grey, spacing or direction impossible, truncated.
    """
    header = parse_header(path)
    if header.values > 1:
        raise InputError(f"{path}: has {header.values} values per voxel (colour or vectors); save it as a grey volume")
    if min(header.geometry.size) < 2:
        size = " x ".join(map(str, header.geometry.size))
        raise InputError(f"{path}: is only one voxel thin ({size}); a volume of several slices is needed")
    return header


def parse_header(path: Path) -> VolumeHeader:
    """As `read_header`, of volumes with several values a voxel or a single slice too."""
    _check_is_file(path)
    if path.name.lower().endswith(_IMAGE_OF_A_PAIR):
        return _checked(read_nifti_pair(path))
    ending = next((end for end in VOLUME_ENDINGS if path.name.lower().endswith(end)), None)
    if ending is None:
        raise InputError(f"{path}: unknown format; give NIfTI, NRRD, MetaImage or DICOM ({' '.join(VOLUME_ENDINGS)})")
    return _checked(_FORMATS[ending](path))


def _checked(header: VolumeHeader) -> VolumeHeader:
    """`header`, whose voxels fit this computer and the files that are said to have them."""
    check_fits_memory(header.path, header.bytes if header.frames_first else header.bytes // header.frames)
    check_sizes(header.stored, header.bytes, _slack(header), header.voxels)
    return header


def read_voxels(header: VolumeHeader, frame: int = 0) -> np.ndarray:
    """The voxels [Z, Y, X] of one frame, as stored: of the machine's byte order, not scaled.

    Raises:
        InputError: voxels are missing, or damaged.
    """
    count = header.bytes // header.frames
    span = Span(0, header.bytes) if header.frames_first else Span(frame * count, (frame + 1) * count)
    found = read_bytes(header.stored, header.bytes, _slack(header), header.kind, span).view(header.kind)
    shape = header.geometry.shape
    array = found.reshape(*shape, header.frames)[..., frame] if header.frames_first else found.reshape(shape)
    return np.ascontiguousarray(array, header.kind.newbyteorder("="))


def scaled(array: np.ndarray, scale: tuple[float, float] | None) -> np.ndarray:
    """`array` [Z, Y, X] times slope plus intercept, float32; as it is without `scale`."""
    if scale is None:
        return array
    slope, intercept = scale
    result = np.empty(array.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, and is seen as such
        for number, plane in enumerate(array):
            result[number] = plane * np.float64(slope) + intercept
    return result


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that a volume is made of: `path`, and those with its voxels where its header names others.

    Raises:
        InputError: as `parse_header`, where the header can name others.
    """
    if not path.name.lower().endswith(_DETACHED):
        return (path,)
    return tuple(dict.fromkeys((path, *parse_header(path).stored.files)))


def _check_is_file(path: Path) -> None:
    with readable(path):
        if not path.is_file():
            if path.is_symlink():
                raise InputError(
                    f"{path}: is a link to a file that is not here; fetch it first (git annex get, datalad get)"
                )
            if path.exists():
                raise InputError(f"{path}: is not a file but a folder, pipe or device; give a file")
            raise InputError(f"{path}: no such file; check the path")
        if is_pointer(path):
            raise InputError(f"{path}: is only a pointer to the file; fetch it first (git lfs pull, git annex get)")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty; export or copy it again")


def _slack(header: VolumeHeader) -> int:
    """Bytes of the smallest slice across any axis: the least that is left over if a size in the header is wrong."""
    return header.bytes // max(*header.geometry.size, header.frames)
