"""Read an image volume, with everything that makes it unusable said in one line; and read label maps."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.dicom import series as series_reader
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS, name_of
from LiverMRISegLib.io.headers import is_dicom_file, quietly, read_header
from LiverMRISegLib.io.nifti import is_nifti, not_finite, read_nifti_header
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)
_MOST_NOT_FINITE = 0.01
_MASK_VALUES = 20
# Label maps of many structures: measured 0.89 and more of equal neighbours, real images, 8-bit ones too, 0.11 at most.
_MANY_LABELS, _HIGHEST_LABEL, _EVEN_SHARE = 256, 2**16 - 1, 0.75


def read_volume(path: str | Path, *, series: str | None = None, may_be_mask: bool = False) -> Volume:
    """Read NIfTI, NRRD, MHA or a DICOM folder as an image to be segmented.

    Args:
        path: a file (also DICOM of many frames), or a folder with the images of a DICOM series.
        series: the UID of the series, where the folder holds several.
        may_be_mask: take what looks like a mask, or is of one value, too.

    Returns:
        The volume, int8 to uint32 or float32. `metadata` holds "modality" and the like where the file tells,
        "dicom_files", and "orientation_unknown" for a NIfTI file that does not tell which way its axes point; never a
        name of a patient. A few voxels that are not finite are repaired, with a warning.

    Raises:
        InputError: it cannot be used; the message says why and what to do.
        UsageError: `series` is given for a file.
    """
    path = Path(path)
    if path.is_dir():
        volume = series_reader.read_series(path, series)
    elif series is not None:
        raise UsageError(f"{path}: is a file; a series can only be chosen in a DICOM folder")
    elif path.is_file() and is_dicom_file(path):
        volume = series_reader.read_file(path)
    else:
        volume = Volume.from_sitk(_pixels(path), name_of(path))
    array, metadata = _narrowed(volume.array), volume.metadata
    if path.is_file() and is_nifti(path):
        if not read_nifti_header(path).says_orientation:
            metadata = {**metadata, "orientation_unknown": True}
        bad = not_finite(path, array.shape)
        if bad is not None:
            array.flat[bad] = np.nan
    array = _repaired(array, path) if array.dtype.kind == "f" else array
    if not may_be_mask:
        _check_is_image(array, path)
    return Volume(array, volume.geometry, volume.name, metadata)


def read_labelmap(path: str | Path) -> Volume:
    """Read integer labels from any of the formats; `metadata["segments"]` maps value to name for .seg.nrrd, DICOM SEG.

    The segments of a .seg.nrrd keep their label values; where its layers use a value twice, segments are
    numbered 1, 2, ... in their order, and where they overlap the later one wins. A DICOM SEG holds the slices with
    segments only; its values are the numbers of the segments.

    Raises:
        InputError: it cannot be read, or its values are no labels.
        UsageError: it is a DICOM SEG and highdicom is not installed.
    """
    path = Path(path)
    if path.name.lower().endswith(".seg.nrrd"):
        from LiverMRISegLib.io.seg_nrrd import read_seg_nrrd

        return read_seg_nrrd(path)
    if path.is_file() and is_dicom_file(path):
        from LiverMRISegLib.io.dicom.seg import read_dicom_seg

        return read_dicom_seg(path)
    volume = Volume.from_sitk(_pixels(path), name_of(path))
    array = volume.array
    if not np.issubdtype(array.dtype, np.integer):
        if not np.all(np.isfinite(array)) or not np.array_equal(array, np.round(array)):
            raise InputError(f"{path}: holds fractions, a label map holds whole numbers; check that it is not an image")
        array = array.astype(np.int32)
    if array.min() < 0:
        raise InputError(f"{path}: holds negative values, a label map holds none; check that it is not an image")
    return Volume(array, volume.geometry, volume.name, volume.metadata)


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
        if is_volume_file(path) or series_reader.is_dicom_folder(path):
            found.append(path)
    return found


def is_volume_file(path: Path) -> bool:
    """Whether it is a file called as a volume, neither hidden nor called as a result (NAME_seg.*)."""
    name = path.name.lower()
    is_result = name.endswith(".seg.nrrd") or "_seg." in name
    return name.endswith(VOLUME_ENDINGS) and not is_result and not name.startswith(".") and path.is_file()


def _pixels(path: Path) -> sitk.Image:
    reader = read_header(path)
    try:
        return quietly(reader.Execute)
    except RuntimeError as error:
        raise InputError(
            f"{path}: is truncated or damaged, its voxels cannot be read; copy or export it again"
        ) from error


def _narrowed(array: np.ndarray) -> np.ndarray:
    """64-bit integers as int32 where they fit, else, as float64, float32; MR magnitudes need no more."""
    if array.dtype in (np.int64, np.uint64) and array.min() >= -(2**31) and array.max() < 2**31:
        return array.astype(np.int32)
    if array.dtype in (np.float64, np.int64, np.uint64):
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is repaired or refused as such
            return array.astype(np.float32)
    return array


def _check_is_image(array: np.ndarray, path: Path) -> None:
    lowest, highest = array.min(), array.max()
    if lowest == highest:
        raise InputError(f"{path}: all voxels have the value {lowest:g}; there is nothing to segment")
    if _looks_like_mask(array, float(lowest), float(highest)):
        count = np.unique(array).size
        raise InputError(f"{path}: holds only {count} different values, it looks like a mask; give the image instead")


def _repaired(array: np.ndarray, path: Path) -> np.ndarray:
    finite = np.isfinite(array)
    share = 1.0 - float(finite.mean())
    if share == 0:
        return array
    if share > _MOST_NOT_FINITE:
        raise InputError(f"{path}: {share:.0%} of the voxels are NaN or infinite; export the volume again")
    logger.warning("%s: %d voxels are NaN or infinite and were set to the lowest value", path.name, (~finite).sum())
    return np.where(finite, array, array[finite].min())


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
