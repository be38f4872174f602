"""Read an image volume, with everything that makes it unusable said in one line; and read label maps."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import InputError, SeveralSeriesError, SeveralVolumesError, UsageError
from LiverMRISegLib.io.dicom.dixon import image_of_kind
from LiverMRISegLib.io.dicom.elements import is_dicom_file
from LiverMRISegLib.io.dicom.folders import is_dicom_folder
from LiverMRISegLib.io.dicom.series import read_file, read_series, volumes_of
from LiverMRISegLib.io.dicom.values import Meaning
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS, name_of, why_impossible
from LiverMRISegLib.io.headers import read_header, read_voxels, scaled
from LiverMRISegLib.io.repair import padding_of, repaired
from LiverMRISegLib.io.segment_codes import CODED, SEGMENTS, organs_meant
from LiverMRISegLib.io.stored import shortened
from LiverMRISegLib.io.volume_header import VolumeHeader
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
# What Slicer calls a segment that nobody named.
_NO_NAME = re.compile(r"segment[ _-]*\d*", re.IGNORECASE)
_MASK_VALUES = 20
# Label maps of many structures: measured 0.89 and more of equal neighbours, real images, 8-bit ones too, 0.11 at most.
_MANY_LABELS, _HIGHEST_LABEL, _EVEN_SHARE = 256, 2**16 - 1, 0.75


class MaskGivenError(InputError):
    """A mask was given where an image is wanted."""


def read_volume(
    path: str | Path, *, series: str | None = None, frame: int | None = None, may_be_mask: bool = False
) -> Volume:
    """Read NIfTI, NRRD, MetaImage or DICOM as an image to be segmented.

    Args:
        path: a file (also DICOM of many frames), or a folder with the images of a DICOM series.
        series: the UID of the series, where the folder has several.
        frame: which one to take of a file or a series with several volumes, from 1.
        may_be_mask: take what looks like a mask, or is of one value, too.

    Returns:
        The volume, int8 to uint32 or float32. `metadata` has "modality" and the like where the file tells,
        "dicom_files", "nifti_forms" (so that a mask can get them), "orientation_unknown" for a file that does not say
        which way its axes point, and "notes": in words, what a person should know of the input, such as voxels that
        were repaired; never a name of a patient.

    Raises:
        InputError: it cannot be used; the message says why and what to do.
        UsageError: `series` is given for a file.
    """
    path = _possible(path)
    volume = _as_stored(path, series, frame)
    array, notes = repaired(volume.array, path)
    notes = [*volume.metadata.get("notes", ()), *notes]
    for note in notes:
        logger.warning("%s: %s", path.name, note)
    if not may_be_mask:
        _check_is_image(array, path)
    return replace(volume, array=array, metadata={**volume.metadata, "notes": notes} if notes else volume.metadata)


def read_map(path: str | Path, *, series: str | None = None, is_signal: bool = False, kind: str = "") -> Volume:
    """Read a map of a quantity (fat fraction, R2*, T1) to be measured, in any of the formats of `read_volume`.

    Nothing is repaired: float32, with NaN where the file has NaN, an infinite value or padding. Of DICOM the values are
    those of the Real World Value Mapping, if there is one. Notes as of `read_volume`.

    Args:
        path: as of `read_volume`.
        series: as of `read_volume`.
        is_signal: an image whose signal is compared with that of another one, as of water and fat. Philips stores each
            with a scale of its own, which is taken out.
        kind: of several volumes of DICOM the one is taken that says it is this: "water", "fat", "in-phase",
            "out-of-phase", or a map's name ("pdff").

    Raises:
        InputError: it cannot be used; the message says why and what to do.
        UsageError: `series` is given for a file.
    """
    path, frame = _possible(path), None
    if kind and (path.is_dir() or is_dicom_file(path)) and (chosen := image_of_kind(path, series, kind)):
        logger.warning("%s: of several volumes the one of Image Type %s was taken", path.name, chosen.image_type)
        series, frame = chosen.series, chosen.frame
    with _only_volume():
        volume = _as_stored(path, series, frame, Meaning.SIGNAL if is_signal else Meaning.QUANTITY)
    for note in volume.metadata.get("notes", ()):
        logger.warning("%s: %s", path.name, note)
    array = volume.array.astype(np.float32)
    array[~np.isfinite(array)] = np.nan
    padding = padding_of(volume.array)
    if padding is not None:
        array[volume.array == padding[0]] = np.nan
    return replace(volume, array=array)


def _as_stored(path: Path, series: str | None, frame: int | None, meaning: Meaning = Meaning.IMAGE) -> Volume:
    """The volume as the file has it, in at most 32 bits a voxel; errors as of `read_volume`."""
    if path.is_dir() or path.name.upper() == "DICOMDIR":
        folder = path if path.is_dir() else path.parent
        volume = read_series(folder, series, frame, meaning)
    elif series is not None:
        raise UsageError(f"{path}: is a file; a series can only be chosen in a DICOM folder")
    elif is_dicom_file(path):
        volume = read_file(path, frame, meaning)
    elif path.suffix.lower() == ".zip":
        raise InputError(f"{path}: is a zip archive; unpack it and give the folder with the images")
    else:
        header = read_header(path)
        array = read_voxels(header, _chosen_frame(header, frame))
        volume = Volume(scaled(array, header.scale), header.geometry, name_of(path), header.metadata)
    return replace(volume, array=_narrowed(volume.array, path))


@dataclass(frozen=True)
class Frame:
    """One of the volumes of a file or a DICOM series: what it is, and seconds since the first, where they are known."""

    words: str = ""
    seconds: float | None = None


def list_frames(path: Path, series: str | None = None) -> list[Frame]:
    """The volumes of a file, or of a DICOM series; most have one.

    Raises:
        InputError: its header cannot be used.
    """
    if path.is_dir() or is_dicom_file(path):
        return [Frame(part.words, part.seconds) for part in volumes_of(path, series)] or [Frame()]
    header = read_header(path)
    step = header.metadata.get("seconds a frame")
    return [Frame(seconds=None if step is None else number * step) for number in range(header.frames)]


def read_labelmap(path: str | Path) -> Volume:
    """Read integer labels from any of the formats; `metadata["segments"]` maps value to name for .seg.nrrd, DICOM SEG.

    These are the names as they are in the file; `named_segments` says what they mean.

    The segments of a .seg.nrrd keep their label values; where its layers use a value twice, segments are
    numbered 1, 2, ... in their order, and where they overlap the later one wins. A DICOM SEG has the slices with
    segments only; its values are the numbers of the segments.

    Raises:
        InputError: it cannot be read, or its values are not labels.
        UsageError: it is a DICOM SEG and highdicom is not installed.
    """
    path = _possible(path)
    if path.name.lower().endswith(".seg.nrrd"):
        from LiverMRISegLib.io.seg_nrrd import read_seg_nrrd

        return read_seg_nrrd(path)
    if path.is_file() and is_dicom_file(path):
        from LiverMRISegLib.io.dicom.seg import read_dicom_seg

        return read_dicom_seg(path)
    header = read_header(path)
    with _only_volume():
        frame = _chosen_frame(header, None)
    array = scaled(read_voxels(header, frame), header.scale)
    if not np.issubdtype(array.dtype, np.integer):
        if not np.all(np.isfinite(array)) or not np.array_equal(array, np.round(array)):
            raise InputError(
                f"{path}: contains fractions, a label map has whole numbers; check that it is not an image"
            )
        array = array.astype(np.int32)
    if array.min() < 0:
        raise InputError(f"{path}: contains negative values, a label map has none; check that it is not an image")
    return Volume(array, header.geometry, name_of(path), header.metadata)


@contextlib.contextmanager
def _only_volume() -> Iterator[None]:
    """What several volumes, or series, are told where none can be chosen."""
    try:
        yield
    except SeveralSeriesError as error:
        raise SeveralSeriesError(f"{error.facts}; give a folder with the images of the one that is meant") from None
    except SeveralVolumesError as error:
        raise SeveralVolumesError(f"{error.facts}; save the one that is meant as a file of its own") from None


def named_segments(labelmap: Volume) -> Mapping[int, str]:
    """What a label map's segments are called by their values; empty where it has none, or nobody named them.

    One of another name that is an organ of ours by its coded term has the name of that organ.
    """
    names: Mapping[int, str] = labelmap.metadata.get(SEGMENTS, {})
    segments = {**names, **organs_meant(names, labelmap.metadata.get(CODED, {}))}
    return {} if all(_NO_NAME.fullmatch(name.strip()) for name in segments.values()) else segments


def _possible(path: str | Path) -> Path:
    """`path`, which a file can have."""
    reason = why_impossible(Path(path))
    if reason:
        raise InputError(f"{shortened(str(path))}: {reason}; check the path")
    return Path(path)


def find_volumes(folder: Path) -> list[Path]:
    """The volume files and DICOM folders directly in `folder`, by name; results (NAME_seg.*) are left out.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if is_volume_file(path) or is_dicom_folder(path):
            found.append(path)
    return found


def is_volume_file(path: Path) -> bool:
    """Whether it is a file with a volume's name, neither hidden nor named as a result (NAME_seg.*).

    A link to a file that is not here is one: left out, it would be missed by nobody.
    """
    name = path.name.lower()
    is_result = name.endswith(".seg.nrrd") or "_seg." in name
    if not name.endswith(VOLUME_ENDINGS) or is_result or name.startswith("."):
        return False
    return path.is_file() or (path.is_symlink() and not path.exists())


def _chosen_frame(header: VolumeHeader, frame: int | None) -> int:
    """The number of the frame, from 0."""
    count = header.frames
    if frame is None and count > 1:
        raise SeveralVolumesError(
            f"{header.path}: has {count} frames; choose one with --frame N (1 to {count}), or all with --frame all"
        )
    if frame is not None and not 1 <= frame <= count:
        raise InputError(f"{header.path}: has no frame {frame}; it has {count}, counted from 1")
    return 0 if frame is None else frame - 1


def _narrowed(array: np.ndarray, path: Path) -> np.ndarray:
    """64-bit integers as int32 where they fit, else, as float64, float32; MR magnitudes need no more."""
    if array.dtype in (np.int64, np.uint64) and array.min() >= -(2**31) and array.max() < 2**31:
        return array.astype(np.int32)
    if array.dtype in (np.float64, np.int64, np.uint64):
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is repaired or refused as such
            narrow = array.astype(np.float32)
        if not narrow.any() and array.any():
            raise InputError(f"{path}: its values are too small for 32-bit floats; multiply them and save it again")
        return narrow
    return array


def _check_is_image(array: np.ndarray, path: Path) -> None:
    lowest, highest = array.min(), array.max()
    if lowest == highest:
        raise InputError(f"{path}: all voxels have the value {lowest:g}; there is nothing to segment")
    if _looks_like_mask(array, float(lowest), float(highest)):
        count = np.unique(array).size
        raise MaskGivenError(
            f"{path}: contains only {count} different values, it looks like a mask; give the image instead"
        )


def _looks_like_mask(array: np.ndarray, lowest: float, highest: float) -> bool:
    """Few different whole numbers; or some more, in areas of one value each, as in label maps of many structures."""
    if lowest < 0 or highest > _HIGHEST_LABEL:
        return False
    sample = np.unique(array.reshape(-1)[:: max(1, array.size // 100_000)])
    if sample.size > _MANY_LABELS or not np.array_equal(sample, np.round(sample)):
        return False
    count = np.unique(array).size
    return count <= _MASK_VALUES or (count <= _MANY_LABELS and _evenness(array) > _EVEN_SHARE)


def _evenness(array: np.ndarray) -> float:
    """Share of the voxels between the extremes whose neighbour along x is equal."""
    here, next_one = array[:, :, :-1], array[:, :, 1:]
    inside = (here > array.min()) & (here < array.max())
    return float(np.mean(here[inside] == next_one[inside])) if inside.any() else 1.0
