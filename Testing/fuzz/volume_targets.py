"""NIfTI, NRRD and MetaImage files, damaged in their headers and their voxels.

What is accepted must be the volume that was written or, where the damage made another sound file, what an independent
reader finds in it: nibabel for NIfTI, SimpleITK for the others.
"""

from __future__ import annotations

import bz2
import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.mutations import OF_BYTES, OF_TEXT, Mutation
from helpers.volume_files import affine_of, by_itk, by_nibabel, written_by_itk
from helpers.volumes import as_rows, oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.volume import Geometry, Volume

GRID = Geometry((7, 6, 5), (1.5, 2.0, 3.25), (11.0, -7.0, 31.0), as_rows(oblique_directions()[0]))
VOXELS = np.random.default_rng(5).integers(0, 900, GRID.shape).astype(np.int16)
LABELS = np.random.default_rng(6).integers(0, 4, GRID.shape).astype(np.uint8)
_NASTY_NUMBERS = (0, 1, 2, 7, -1, -32768, 32767, 348, 352, 2**30, float("nan"), float("inf"), 1e-30, 1e30, 0.5)
# Types and places of the header's numbers.
_NIFTI_FIELDS = (
    ("hhhhhhhh", 40), ("hh", 70), ("ffffffff", 76), ("f", 108), ("ff", 112), ("B", 123), ("hh", 252), ("ffffff", 256),
    ("ffffffffffff", 280),
)  # fmt: skip

_WITHOUT_CHECKSUM = ("nii", "hdr", "nrrd", "mha")


@dataclass(frozen=True)
class VolumeTarget:
    """Files of one form; `write` makes a sound one in a folder and says where its header ends.

    `data` is the name of the file with the voxels if it is not the one with the header.
    """

    name: str
    file: str
    write: Callable[[Path], int]
    header_mutations: tuple[Mutation, ...]
    reference: Callable[[Path], tuple[np.ndarray, np.ndarray]] | None = None
    data: str = ""

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """A sound file with one damage in the header, one in the voxels, or one anywhere."""
        path = folder / self.file
        end = self.write(path)
        where = random.integers(0, 3)
        if where == 0:
            content = path.read_bytes()
            path.write_bytes(_one_of(self.header_mutations, random)(content[:end], random) + content[end:])
        elif where == 1:
            broken = folder / (self.data or self.file)
            start = 0 if self.data else end
            content = broken.read_bytes()
            broken.write_bytes(content[:start] + _one_of(OF_BYTES, random)(content[start:], random))
        else:
            path.write_bytes(_one_of(OF_BYTES, random)(path.read_bytes(), random))
        return path

    def read(self, path: Path) -> Volume:
        """As an image, whatever its values are."""
        return read_volume(path, may_be_mask=True)

    def fault(self, path: Path, found: Volume) -> str:
        """Against what was written, and against the independent reader."""
        if _differs(found, VOXELS, affine_of(GRID)) == "":
            return ""
        if self.reference is None:
            return ""
        try:
            voxels, affine = self.reference(path)
        except Exception as error:
            # Bits of voxels that have no checksum can be flipped beside a header that only we can read.
            if self.name in _WITHOUT_CHECKSUM and _differs(found, found.array, affine_of(GRID)) == "":
                return ""
            return f"accepted, not as it was written; the other reader refuses it ({type(error).__name__}: {error})"
        # ITK returns memory that was not written where a MetaImage does not say how long its packed voxels are.
        is_written = np.array_equal(found.array, VOXELS)
        return _differs(found, VOXELS if is_written else voxels, affine)


def _differs(found: Volume, voxels: np.ndarray, affine: np.ndarray) -> str:
    notes = found.metadata.get("notes", [])
    voxels = np.squeeze(voxels) if voxels.ndim > 3 else voxels
    if found.array.shape != voxels.shape:
        return f"accepted with shape {found.array.shape}, not {voxels.shape}"
    was_repaired = any("voxels are NaN" in note or "of the voxels" in note for note in notes)
    with np.errstate(over="ignore", invalid="ignore"):
        same = np.allclose(found.array, voxels.astype(np.float32), rtol=1e-5, equal_nan=True)
    if not same and not was_repaired:
        return "accepted with other voxels"
    # Where a file gives no orientation, or two places, programs differ; that is said in the notes.
    if found.metadata.get("orientation_unknown") or any("form" in note or "no origin" in note for note in notes):
        return ""
    scale = max(1.0, float(np.abs(affine[:3]).max()))
    return "" if np.allclose(affine_of(found.geometry), affine, atol=1e-4 * scale) else "accepted in another place"


def _one_of(mutations: tuple[Mutation, ...], random: np.random.Generator) -> Mutation:
    return mutations[int(random.integers(0, len(mutations)))]


def _nasty_field(content: bytes, random: np.random.Generator) -> bytes:
    """One number of a NIfTI header replaced by one that programs stumble over."""
    broken = bytearray(content)
    kinds, place = _NIFTI_FIELDS[int(random.integers(0, len(_NIFTI_FIELDS)))]
    item = int(random.integers(0, len(kinds)))
    kind = kinds[item]
    value: Any = _NASTY_NUMBERS[int(random.integers(0, len(_NASTY_NUMBERS)))]
    if kind != "f":
        whole = int(value) if np.isfinite(value) and abs(value) < 2**31 else 5
        value = whole % 256 if kind == "B" else (whole + 2**15) % 2**16 - 2**15
    if len(broken) >= 348:
        struct.pack_into("<" + kind, broken, place + item * struct.calcsize(kind), value)
    return bytes(broken)


def _nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import nibabel

    voxels, affine = by_nibabel(path)
    unit = int(nibabel.load(path).header["xyzt_units"]) & 7
    factor = {1: 1e3, 3: 1e-3}.get(unit, 1.0)
    return voxels, np.diag([factor, factor, factor, 1.0]) @ affine


def _itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    voxels, geometry = by_itk(path)
    return voxels, affine_of(geometry)


def _nii(path: Path) -> int:
    written_by_itk(path, VOXELS, GRID)
    return 352 if path.suffix == ".nii" else 10


def _pair(path: Path) -> int:
    written_by_itk(path, VOXELS, GRID)
    return 348


def _text_header(path: Path, end: bytes) -> int:
    return path.read_bytes().index(end) + len(end)


def _nrrd(packed: bool) -> Callable[[Path], int]:
    def write(path: Path) -> int:
        written_by_itk(path, VOXELS, GRID, packed)
        return _text_header(path, b"\n\n")

    return write


def _nrrd_by_hand(encoding: str, content: bytes, data: str = "") -> Callable[[Path], int]:
    columns = np.array(GRID.direction) * GRID.spacing
    vectors = " ".join("(" + ",".join(f"{v:.17g}" for v in columns[:, axis]) + ")" for axis in range(3))
    origin = ",".join(map(str, GRID.origin))
    head = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 7 6 5\n"
        f"space directions: {vectors}\nkinds: domain domain domain\nendian: little\nencoding: {encoding}\n"
        f"space origin: ({origin})\n"
    )

    def write(path: Path) -> int:
        if data:
            path.with_name(data).write_bytes(content)
            path.write_text(f"{head}data file: {data}\n")
        else:
            path.write_bytes(head.encode() + b"\n" + content)
        return len(head)

    return write


def _metaimage(packed: bool) -> Callable[[Path], int]:
    def write(path: Path) -> int:
        written_by_itk(path, VOXELS, GRID, packed)
        return _text_header(path, b"LOCAL\n") if path.suffix == ".mha" else path.stat().st_size

    return write


@dataclass(frozen=True)
class SegmentationTarget:
    """.seg.nrrd files: labels, and the names in the header."""

    name: str = "seg.nrrd"

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """Damaged in the header or in the labels."""
        path = folder / "v.seg.nrrd"
        write_segmentation(path, LABELS, CHAOS, GRID)
        content, end = path.read_bytes(), _text_header(path, b"\n\n")
        if random.integers(0, 2):
            path.write_bytes(_one_of(OF_TEXT, random)(content[:end], random) + content[end:])
        else:
            path.write_bytes(content[:end] + _one_of(OF_BYTES, random)(content[end:], random))
        return path

    def read(self, path: Path) -> Volume:
        """The labels."""
        return read_labelmap(path)

    def fault(self, path: Path, found: Volume) -> str:
        """Labels whose names and values are as they were written are in the same voxels."""
        expected = {value: organ.title for value, organ in CHAOS.items()}
        if found.metadata["segments"] != expected or found.geometry.shape != GRID.shape:
            return ""
        return "" if np.array_equal(found.array, LABELS) else "accepted with other labels"


_BYTES = VOXELS.astype("<i2").tobytes()
_TEXT = "\n".join(" ".join(map(str, row)) for row in VOXELS.reshape(-1, 7)).encode() + b"\n"
_NIFTI_HEADER = (*OF_BYTES, *[_nasty_field] * 6)

VOLUME_TARGETS = (
    VolumeTarget("nii", "v.nii", _nii, _NIFTI_HEADER, _nibabel),
    VolumeTarget("nii.gz", "v.nii.gz", _nii, OF_BYTES, _nibabel),
    VolumeTarget("hdr", "v.hdr", _pair, _NIFTI_HEADER, _nibabel, "v.img"),
    VolumeTarget("nrrd", "v.nrrd", _nrrd(packed=False), OF_TEXT, _itk),
    VolumeTarget("nrrd gzip", "v.nrrd", _nrrd(packed=True), OF_TEXT, _itk),
    VolumeTarget("nrrd bzip2", "v.nrrd", _nrrd_by_hand("bzip2", bz2.compress(_BYTES)), OF_TEXT),
    VolumeTarget("nrrd hex", "v.nrrd", _nrrd_by_hand("hex", _BYTES.hex().encode()), OF_TEXT),
    VolumeTarget("nrrd ascii", "v.nrrd", _nrrd_by_hand("ascii", _TEXT), OF_TEXT),
    VolumeTarget("nhdr", "v.nhdr", _nrrd_by_hand("gzip", gzip.compress(_BYTES), "v.gz"), OF_TEXT, _itk, "v.gz"),
    VolumeTarget("mha", "v.mha", _metaimage(packed=False), OF_TEXT, _itk),
    VolumeTarget("mha zlib", "v.mha", _metaimage(packed=True), OF_TEXT, _itk),
    VolumeTarget("mhd", "v.mhd", _metaimage(packed=True), OF_TEXT, _itk, "v.zraw"),
    SegmentationTarget(),
)
