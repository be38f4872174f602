"""Volume files made by other programs' writers, or by hand, as references for our readers."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.io import read_volume
from LiverMRISegLib.volume import Geometry, Volume


def by_itk(path: Path) -> tuple[np.ndarray, Geometry]:
    """Voxels and grid as SimpleITK reads them."""
    volume = Volume.from_sitk(sitk.ReadImage(str(path)))
    return volume.array, volume.geometry


def same_as_itk(path: Path) -> Volume:
    """The volume as our reader reads it, checked against SimpleITK's."""
    found = read_volume(path, may_be_mask=True)
    voxels, geometry = by_itk(path)
    assert np.array_equal(found.array, voxels)
    assert found.geometry.is_close(geometry, 1e-6)
    return found


def by_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels [Z, Y, X] and affine matrix to LPS as nibabel reads them."""
    image = nibabel.load(path)
    return np.asanyarray(image.dataobj).T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine


def affine_of(geometry: Geometry) -> np.ndarray:
    """The matrix from voxel index (x, y, z) to mm, LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(geometry.direction) * geometry.spacing
    matrix[:3, 3] = geometry.origin
    return matrix


def written_by_itk(path: Path, array: np.ndarray, geometry: Geometry, packed: bool = True) -> Path:
    """`array` [Z, Y, X] in a file that SimpleITK wrote."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection([float(v) for row in geometry.direction for v in row])
    sitk.WriteImage(image, str(path), packed)
    return path


def overwritten(path: Path, *edits: tuple) -> Path:
    """`path` with fields (struct format, place, values ...) of its header overwritten."""
    content = bytearray(path.read_bytes())
    for kind, place, *values in edits:
        struct.pack_into(kind, content, place, *values)
    path.write_bytes(content)
    return path


def ramp(shape=(4, 5, 6), dtype=np.int16) -> np.ndarray:
    """Numbers that differ from voxel to voxel."""
    return (np.arange(np.prod(shape)) * 3 % 120).reshape(shape).astype(dtype)
