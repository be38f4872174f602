"""The values of the voxels of a DICOM volume: scaled as each frame says, high ones bright, padding as outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.header import DicomHeader
from LiverMRISegLib.io.dicom.pixels import read_frames
from LiverMRISegLib.io.dicom.real_world import real_world_of
from LiverMRISegLib.io.memory import check_fits_memory


def read_values(
    subject: str, headers: Sequence[DicomHeader], order: Sequence[int], *, are_quantities: bool = False
) -> tuple[np.ndarray, list[str]]:
    """The values [Z, Y, X] of the frames of `order`, and in words what was changed about them.

    They are whole numbers if all scales are such, else float32.

    Args:
        subject: how messages begin.
        headers: of the files.
        order: numbers of the frames, counted through all files.
        are_quantities: of a map: take the Real World Value Mapping where there is one, else the rescale; padding is
            NaN, and MONOCHROME1 concerns only how it is shown.

    Raises:
        InputError: damaged pixels; some images are inverted and others not; or the mapping cannot be used.
    """
    inverted = _are_inverted(subject, headers)
    places = [(number, frame) for number, header in enumerate(headers) for frame in range(header.frames)]
    rank = {places[frame]: place for place, frame in enumerate(order)}
    wanted = [[frame for frame in range(h.frames) if (n, frame) in rank] for n, h in enumerate(headers)]
    read = [number for number, frames in enumerate(wanted) if frames]
    all_scales = {number: headers[number].scales() for number in read}
    mapped: list[str] = []
    if are_quantities:
        all_scales, mapped = _quantities(subject, headers, wanted, all_scales)
    scales = [all_scales[number][frame] for number in read for frame in wanted[number]]
    is_plain = all(scale == (1.0, 0.0) for scale in scales)
    check_fits_memory(headers[0].path, len(scales) * headers[0].rows * headers[0].columns * (1 if is_plain else 4))
    stored = read_frames([headers[number] for number in read], [wanted[number] for number in read])
    padding = None if inverted and not are_quantities else _high_padding([headers[number] for number in read], stored)
    kind = np.result_type(*stored) if is_plain else _scaled_kind(stored, scales)
    found, outside = np.empty((len(scales), *stored[0].shape[1:]), kind), None
    if padding is not None:
        outside = np.empty(found.shape, bool)
    for number, frames in zip(read, stored, strict=True):
        for frame, plane in zip(wanted[number], frames, strict=True):
            slope, intercept = all_scales[number][frame]
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, and is seen
                found[rank[number, frame]] = plane if is_plain else plane * slope + intercept
            if outside is not None:
                outside[rank[number, frame]] = plane == padding
    if outside is not None:
        found = _padded(found, outside, are_quantities)
        said = f"the value {padding} is padding (Pixel Padding Value); it was taken as outside of the image"
    else:
        # How a map is shown says nothing of what it measures.
        found, said = _turned_back(found) if inverted and not are_quantities else (found, "")
    return found, [*mapped, *([said] if said else ())]


def _padded(found: np.ndarray, outside: np.ndarray, are_quantities: bool) -> np.ndarray:
    """The values with the lowest, or of quantities NaN, for what is outside of the image."""
    if are_quantities:
        found = found.astype(np.float32)
    found[outside] = np.nan if are_quantities else found[~outside].min()
    return found


_Scales = dict[int, list[tuple[float, float]]]


def _quantities(
    subject: str, headers: Sequence[DicomHeader], wanted: Sequence[Sequence[int]], rescale: _Scales
) -> tuple[_Scales, list[str]]:
    """The scales of the files that are read, by what their values mean in the world, and a note where that is another.

    Raises:
        InputError: only some of the wanted frames have a mapping, or they are in different units.
    """
    mapped = {number: real_world_of(headers[number]) for number in rescale}
    used = [mapped[number][frame] for number in rescale for frame in wanted[number]]
    units = {one.unit for one in used if one is not None}
    if not units:
        return rescale, []
    if None in used or len(units) > 1:
        raise InputError(
            f"{subject} has images of which only some state what their values mean, or in different units (Real World "
            "Value Mapping); export it again"
        )
    scales = {
        number: [(one.slope, one.intercept) if one is not None else (1.0, 0.0) for one in found]
        for number, found in mapped.items()
    }
    if all(scales[number][frame] == rescale[number][frame] for number in rescale for frame in wanted[number]):
        return rescale, []
    unit = units.pop() or "no unit"
    return scales, [f"the values are those of the Real World Value Mapping ({unit}), not of the Rescale Slope"]


def _are_inverted(subject: str, headers: Sequence[DicomHeader]) -> bool:
    """Whether the lowest value is white (MONOCHROME1)."""
    kinds = {header.text(tags.PHOTOMETRIC).strip().upper() == "MONOCHROME1" for header in headers}
    if len(kinds) > 1:
        raise InputError(f"{subject} has images of which some are inverted (MONOCHROME1); export it again")
    return kinds == {True}


def _turned_back(array: np.ndarray) -> tuple[np.ndarray, str]:
    """The values with the highest for the lowest, as a viewer shows them, and a note."""
    known = array[np.isfinite(array)]
    if not known.size:
        return array, ""
    kind = np.result_type(array.dtype, np.int64) if array.dtype.kind in "iu" else array.dtype
    turned = known.max().astype(kind) + known.min().astype(kind) - array.astype(kind)
    note = "the images are inverted (MONOCHROME1: low values are bright); they were turned back"
    return turned.astype(array.dtype), note


def _high_padding(headers: Sequence[DicomHeader], stored: Sequence[np.ndarray]) -> int | None:
    """The stored value that all files call padding, if it is the highest of all; a low one is seen by its value."""
    found = set()
    for header in headers:
        value = header.elements.values.get(tags.PADDING, b"")[:2]
        if len(value) < 2:
            return None
        order = "big" if header.elements.is_big_endian else "little"
        found.add(int.from_bytes(value, order, signed=header.integer(tags.SIGNED, 0) == 1))  # type: ignore[arg-type]
    if len(found) != 1:
        return None
    padding = found.pop()
    is_highest = max(frames.max() for frames in stored) == padding
    return padding if is_highest and min(frames.min() for frames in stored) < padding else None


def _scaled_kind(stored: Sequence[np.ndarray], scales: Sequence[tuple[float, float]]) -> np.dtype:
    is_whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales)
    most = max(max(abs(float(frames.min())), abs(float(frames.max()))) for frames in stored)
    reach = max(abs(slope) * most + abs(intercept) for slope, intercept in scales)
    is_integer = all(frames.dtype.kind in "iu" for frames in stored)
    return np.dtype(np.int32 if is_integer and is_whole and reach < 2**31 else np.float32)
