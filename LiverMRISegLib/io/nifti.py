"""What a NIfTI file itself says: readers silently mend or ignore much of it.

Layout: nifti1.h of https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from LiverMRISegLib.errors import InputError

ENDINGS = (".nii.gz", ".nii", ".hdr")
_GZIP_MAGIC = b"\x1f\x8b"
_FLOATS = {16: "f4", 64: "f8"}
_BYTES = {2: 1, 256: 1, 4: 2, 512: 2, 8: 4, 768: 4, 16: 4, 64: 8, 1024: 8, 1280: 8}
# Those that ITK reads: of the others complex numbers and colours, which are refused by name later.
TYPES = frozenset({*_BYTES, 32, 1792, 128, 2304})
_HEAD_BYTES = 348
# How far axes may be from perpendicular (cosine): what rounding to float32 and other tools leave behind.
_PERPENDICULAR = 1e-3
_CHUNK = 2**22
# What a damaged compressed file raises.
DAMAGED = (OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class NiftiHeader:
    """The fields of a NIfTI-1 header that readers do not report as written; `order` is "<" or ">" as in struct."""

    order: str
    size: tuple[int, ...]
    datatype: int
    spacing: tuple[float, float, float]
    voxels_at: int
    sform: np.ndarray | None
    has_qform: bool
    is_single_file: bool

    @property
    def place_is_finite(self) -> bool:
        """Whether the affine matrix that gives the place (sform), if there is one, has finite numbers only."""
        return self.sform is None or bool(np.isfinite(self.sform).all())

    @property
    def says_orientation(self) -> bool:
        """Whether it tells which way the axes point; readers without that take them as it suits them."""
        return self.sform is not None or self.has_qform

    @property
    def is_sheared(self) -> bool:
        """Whether the affine matrix's axes are not perpendicular."""
        if self.sform is None or not self.place_is_finite:
            return False
        lengths = np.linalg.norm(self.sform[:, :3], axis=0)
        if lengths.min() == 0:
            return True
        axes = self.sform[:, :3] / lengths
        return not np.allclose(axes.T @ axes, np.eye(3), atol=_PERPENDICULAR)

    @property
    def voxel_bytes(self) -> int | None:
        """Bytes of a voxel in the file; None for types that are no intensities."""
        return _BYTES.get(self.datatype)


def is_nifti(path: Path) -> bool:
    """Whether the file's name is one of NIfTI."""
    return path.name.lower().endswith(ENDINGS)


def is_gzip(path: Path) -> bool:
    """Whether the file is gzip by its content."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


def open_plain(path: Path) -> BinaryIO:
    """The file for reading, unpacked on the way where it is gzip; reading may raise one of `DAMAGED`."""
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def read_nifti_header(path: Path) -> NiftiHeader:
    """The header of a NIfTI-1 (or Analyze) file.

    Raises:
        InputError: it has none, or one of NIfTI-2, which SimpleITK does not read.
    """
    try:
        with open_plain(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except DAMAGED as error:
        raise InputError(f"{path}: the compressed file is truncated or damaged; copy or export it again") from error
    order = next((o for o in "<>" if len(head) == _HEAD_BYTES and struct.unpack_from(o + "i", head)[0] == 348), None)
    if order is None:
        if head[4:7] in (b"n+2", b"ni2"):
            raise InputError(f"{path}: is a NIfTI-2 file, which is not supported; save it as NIfTI-1 or .nrrd")
        raise InputError(f"{path}: is not a NIfTI file in spite of its name; export it again")
    dim = struct.unpack_from(order + "8h", head, 40)
    offset = struct.unpack_from(order + "f", head, 108)[0]
    single, is_analyze = head[344:347] == b"n+1", head[344:347] not in (b"n+1", b"ni1")
    has_qform, has_sform = (code > 0 and not is_analyze for code in struct.unpack_from(order + "2h", head, 252))
    return NiftiHeader(
        order=order,
        size=dim[1 : 1 + max(0, dim[0])],
        datatype=struct.unpack_from(order + "h", head, 70)[0],
        spacing=struct.unpack_from(order + "3f", head, 80),
        # As the reader takes it: after the header, whatever a damaged file says.
        voxels_at=max(int(offset) if np.isfinite(offset) else 0, _HEAD_BYTES if single else 0),
        sform=np.array(struct.unpack_from(order + "12f", head, 280)).reshape(3, 4) if has_sform else None,
        has_qform=has_qform,
        is_single_file=single,
    )


def not_finite(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Flat indices of the NaN and infinite voxels of a float NIfTI file of `shape` [Z, Y, X]; None if there is none.

    Readers silently turn such voxels into zeros; those of the other formats keep them.
    """
    header = read_nifti_header(path)
    if not header.is_single_file or header.datatype not in _FLOATS:
        return None
    kind = np.dtype(header.order + _FLOATS[header.datatype])
    found, first = [], 0
    for voxels in _chunks(path, header.voxels_at, int(np.prod(shape)), kind):
        found.append(np.flatnonzero(~np.isfinite(voxels)) + first)
        first += voxels.size
    indices = np.concatenate(found) if found else np.empty(0, np.intp)
    return indices if indices.size else None


def _chunks(path: Path, start: int, count: int, kind: np.dtype) -> Iterator[np.ndarray]:
    with open_plain(path) as stream:
        stream.seek(start)
        while count > 0:
            block = stream.read(min(count, _CHUNK) * kind.itemsize)
            voxels = np.frombuffer(block[: len(block) // kind.itemsize * kind.itemsize], kind)
            if not voxels.size:
                return
            yield voxels
            count -= voxels.size
