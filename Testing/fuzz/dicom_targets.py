"""DICOM series and Enhanced files, damaged in their headers and pixels.

What is accepted must be the volume that was written or, where the damage made another sound file, what pydicom finds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.pixels

from fuzz.mutations import OF_BYTES
from helpers.dicom_series import write_dicom_series, write_enhanced
from helpers.volumes import as_rows, oblique_directions
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.volume import Geometry, Volume

_DIRECTION = next(d for d in oblique_directions() if np.linalg.det(d) > 0)
_GRID = Geometry((7, 6, 5), (1.5, 2.0, 3.25), (11.0, -7.0, 31.0), as_rows(_DIRECTION))
_VOXELS = np.random.default_rng(7).integers(0, 900, _GRID.shape).astype(np.uint16)
_PIXEL_BYTES = 7 * 6 * 2


@dataclass(frozen=True)
class DicomTarget:
    """A folder with one file a slice, or with one Enhanced file."""

    name: str
    is_enhanced: bool
    syntax: str = "ExplicitVRLittleEndian"

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """One file damaged, in its header three times of four."""
        place, volume = folder / "s", Volume(_VOXELS, _GRID)
        (write_enhanced if self.is_enhanced else write_dicom_series)(place, volume)
        paths = sorted(place.iterdir())
        if self.syntax != "ExplicitVRLittleEndian":
            for path in paths:
                data = pydicom.dcmread(path)
                if self.syntax == "RLELossless":
                    data.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
                else:
                    data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, self.syntax)
                data.save_as(path, implicit_vr="Implicit" in self.syntax, little_endian=True)
        path = paths[int(random.integers(0, len(paths)))]
        content = path.read_bytes()
        end = len(content) if random.integers(0, 4) == 0 else len(content) - _PIXEL_BYTES
        change = OF_BYTES[int(random.integers(0, len(OF_BYTES)))]
        path.write_bytes(content[:132] + change(content[132:end], random) + content[end:])
        return place

    def read(self, path: Path) -> Volume:
        """As an image, whatever its values are."""
        return read_volume(path, may_be_mask=True)

    def fault(self, path: Path, found: Volume) -> str:
        """Against what was written, and against pydicom."""
        if found.geometry.is_close(_GRID, 0.02) and np.array_equal(found.array, _VOXELS):
            return ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                voxels, corner = _by_pydicom(path)
            except Exception as error:
                return f"accepted, not as it was written; pydicom refuses it ({type(error).__name__}: {error})"
        if found.array.shape != voxels.shape or not np.allclose(found.array, voxels, rtol=1e-4):
            return "accepted with other voxels"
        return "" if np.allclose(found.geometry.origin, corner, atol=0.02) else "accepted in another place"


def _by_pydicom(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in the order of their places, and the position of the first."""
    frames: list[tuple[Any, np.ndarray]] = []
    normal = np.cross(_DIRECTION[:, 0], _DIRECTION[:, 1])
    for path in sorted(folder.iterdir()):
        data = pydicom.dcmread(path, force=True)
        pixels = data.pixel_array.astype(np.float64)
        if "PerFrameFunctionalGroupsSequence" in data:
            groups = data.PerFrameFunctionalGroupsSequence
            places = [np.array(group.PlanePositionSequence[0].ImagePositionPatient, float) for group in groups]
            frames += zip(places, pixels, strict=True)
        else:
            scaled = pixels * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
            frames.append((np.array(data.ImagePositionPatient, float), scaled))
    frames.sort(key=lambda frame: float(frame[0] @ normal))
    return np.stack([frame[1] for frame in frames]), frames[0][0]


DICOM_TARGETS = (
    DicomTarget("dicom series", is_enhanced=False),
    DicomTarget("dicom implicit", is_enhanced=False, syntax="ImplicitVRLittleEndian"),
    DicomTarget("dicom rle", is_enhanced=False, syntax="RLELossless"),
    DicomTarget("dicom enhanced", is_enhanced=True),
)
