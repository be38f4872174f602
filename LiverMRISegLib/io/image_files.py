"""Writing the bytes of .nii, .nii.gz, .nrrd and .mha files, packed a slice at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.atomic import atomic_path
from LiverMRISegLib.io.metaimage import metaimage_bytes
from LiverMRISegLib.io.nifti import nifti_bytes
from LiverMRISegLib.io.nifti_place import NiftiForms, forms_of
from LiverMRISegLib.io.nrrd import MADE_BY, nrrd_bytes
from LiverMRISegLib.volume import Volume

# The fastest level: masks are nearly as small by it, images a tenth larger.
_LEVEL = 1
_GZIP, _ZLIB = 31, 15


def write_image(
    volume: Volume,
    path: Path,
    forms: NiftiForms | None = None,
    pairs: Mapping[str, str] | None = None,
    comment: str = "",
) -> None:
    """Write `volume` whole or not at all, in the format of the ending of `path`.

    Args:
        volume: of integers of 8 to 64 bits or floats of 32 or 64.
        path: with one of the endings .nii, .nii.gz, .nrrd, .mha, in any letters.
        forms: qform and sform for NIfTI; by default both are those of the volume's grid.
        pairs: key/value pairs for the header of an NRRD file.
        comment: what the file says of itself, a line of ASCII.

    Raises:
        OutputError: it cannot be written there, or the format cannot have it.
    """
    name, kind, geometry = path.name.lower(), volume.array.dtype.newbyteorder("<"), volume.geometry
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if name.endswith((".nii", ".nii.gz")):
            try:
                head = nifti_bytes(kind, geometry.size, forms or forms_of(geometry), comment)
            except ValueError as error:
                raise OutputError(f"{path}: {error}; write it as .nrrd") from error
            blocks = _with_head(head, _voxels(volume.array, kind))
            file.writelines(blocks if name.endswith(".nii") else _packed(blocks, _GZIP))
        elif name.endswith(".mha"):  # the header says how long the packed voxels are
            packed = list(_packed(_voxels(volume.array, kind), _ZLIB))
            file.write(metaimage_bytes(kind, geometry, sum(map(len, packed)), comment))
            file.writelines(packed)
        else:
            file.write(nrrd_bytes(kind, geometry, {**(pairs or {}), **({MADE_BY: comment} if comment else {})}))
            file.writelines(_packed(_voxels(volume.array, kind), _GZIP))


def _voxels(array: np.ndarray, kind: np.dtype) -> Iterator[memoryview]:
    for plane in array:
        yield np.ascontiguousarray(plane, kind).data.cast("B")


def _with_head(head: bytes, blocks: Iterator[memoryview]) -> Iterator[bytes | memoryview]:
    yield head
    yield from blocks


def _packed(blocks: Iterator[bytes | memoryview] | Iterator[memoryview], bits: int) -> Iterator[bytes]:
    pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, bits)
    for block in blocks:
        yield pack.compress(block)
    yield pack.flush()
