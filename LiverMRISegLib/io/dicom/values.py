"""The values of the voxels of a DICOM volume: scaled as each frame says, high ones bright, padding as outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Literal

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.header import DicomHeader
from LiverMRISegLib.io.dicom.philips import signal_scales
from LiverMRISegLib.io.dicom.pixels import read_frames
from LiverMRISegLib.io.dicom.real_world import real_world_of
from LiverMRISegLib.io.memory import check_fits_memory


class Meaning(Enum):
    """What the values of a volume are for.

    Those of an IMAGE are as viewers show them: by the Rescale Slope, padding dark, MONOCHROME1 turned back. Of a map of
    a QUANTITY they are those of the Real World Value Mapping where there is one, and of a SIGNAL that is compared with
    another image's, those that the scanner measured where it says so. Of both padding is NaN.
    """

    IMAGE = "image"
    QUANTITY = "quantity"
    SIGNAL = "signal"


def read_values(
    subject: str, headers: Sequence[DicomHeader], order: Sequence[int], meaning: Meaning = Meaning.IMAGE
) -> tuple[np.ndarray, list[str]]:
    """The values [Z, Y, X] of the frames of `order`, and in words what was changed about them.

    They are whole numbers if all scales are such, else float32.

    Args:
        subject: how messages begin.
        headers: of the files.
        order: numbers of the frames, counted through all files.
        meaning: what the values are for.

    Raises:
        InputError: damaged pixels; some images are inverted and others not; or the mapping cannot be used.
    """
    inverted = _are_inverted(subject, headers)
    numbers = [(number, frame) for number, header in enumerate(headers) for frame in range(header.frames)]
    rank = {numbers[frame]: place for place, frame in enumerate(order)}
    wanted = [[frame for frame in range(h.frames) if (n, frame) in rank] for n, h in enumerate(headers)]
    read = [number for number, frames in enumerate(wanted) if frames]
    files = [headers[number] for number in read]
    all_scales, notes = _scales_of(subject, headers, wanted, meaning)
    scales = [all_scales[number][frame] for number in read for frame in wanted[number]]
    is_plain = all(scale == (1.0, 0.0) for scale in scales)
    check_fits_memory(files[0].path, len(scales) * files[0].rows * files[0].columns * (1 if is_plain else 4))
    stored = read_frames(files, [wanted[number] for number in read])
    places = [rank[number, frame] for number in read for frame in wanted[number]]
    found = np.empty((len(scales), *stored[0].shape[1:]), _kind_of(stored, None if is_plain else scales))
    for place, plane, (slope, intercept) in zip(places, _planes(stored), scales, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, and is seen
            found[place] = plane if is_plain else plane * slope + intercept
    # How a map is shown says nothing of what it measures.
    if inverted and meaning is Meaning.IMAGE:
        found, said = _turned_back(found)
    else:
        found, said = _without_padding(found, files, stored, places, meaning)
    return found, [*notes, *([said] if said else ())]


def _planes(stored: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    return (plane for frames in stored for plane in frames)


def _without_padding(
    found: np.ndarray, files: Sequence[DicomHeader], stored: Sequence[np.ndarray], places: Sequence[int],
    meaning: Meaning,
) -> tuple[np.ndarray, str]:  # fmt: skip
    """The values with the lowest of an image, or else NaN, for what is outside of it, and a note."""
    padding = _padding(files, stored, meaning)
    if padding is None:
        return found, ""
    outside = np.empty(found.shape, bool)
    for place, plane in zip(places, _planes(stored), strict=True):
        outside[place] = (plane >= padding.start) & (plane < padding.stop)
    if not outside.any():
        return found, ""
    if meaning is not Meaning.IMAGE:
        found = found.astype(np.float32)
    found[outside] = found[~outside].min() if meaning is Meaning.IMAGE else np.nan
    known, after = "padding (Pixel Padding Value)", "taken as outside of the image"
    if len(padding) == 1:
        return found, f"the value {padding.start} is {known}; it was {after}"
    return found, f"the values {padding.start} to {padding.stop - 1} are {known}; they were {after}"


_Scales = dict[int, list[tuple[float, float]]]


def _scales_of(
    subject: str, headers: Sequence[DicomHeader], wanted: Sequence[Sequence[int]], meaning: Meaning
) -> tuple[_Scales, list[str]]:
    """Slope and intercept of every frame of the files that are read, by their numbers, and notes; see `read_values`."""
    rescale = {number: headers[number].scales() for number, frames in enumerate(wanted) if frames}
    if meaning is Meaning.IMAGE:
        return rescale, []
    signals = _signals(headers, wanted, rescale) if meaning is Meaning.SIGNAL else None
    return signals or _quantities(subject, headers, wanted, rescale)


def _signals(
    headers: Sequence[DicomHeader], wanted: Sequence[Sequence[int]], rescale: _Scales
) -> tuple[_Scales, list[str]] | None:
    """The scales that make signals of the stored values, and a note where they are others; None if not known."""
    found = {number: signal_scales(headers[number]) for number in rescale}
    scales = {number: own for number, own in found.items() if own is not None}
    if len(scales) < len(found):
        return None
    if all(scales[number][frame] == rescale[number][frame] for number in rescale for frame in wanted[number]):
        return rescale, []
    return scales, ["the values are the scanner's own (Philips's Scale Slope), not those of the Rescale Slope"]


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


def _padding(headers: Sequence[DicomHeader], stored: Sequence[np.ndarray], meaning: Meaning) -> range | None:
    """The stored values that all files call padding; of images only high ones, since low ones are dark anyway."""
    found = {_padding_of(header) for header in headers}
    padding = found.pop() if len(found) == 1 and all(frames.dtype.kind in "iu" for frames in stored) else None
    if padding is None or meaning is not Meaning.IMAGE:
        return padding
    lowest, highest = min(int(frames.min()) for frames in stored), max(int(frames.max()) for frames in stored)
    return padding if highest in padding and lowest < padding.start else None


def _padding_of(header: DicomHeader) -> range | None:
    order: Literal["big", "little"] = "big" if header.elements.is_big_endian else "little"
    values = [header.elements.values.get(tag, b"")[:2] for tag in (tags.PADDING, tags.PADDING_LIMIT)]
    if len(values[0]) < 2:
        return None
    is_signed = header.integer(tags.SIGNED, 0) == 1
    ends = [int.from_bytes(value, order, signed=is_signed) for value in values if len(value) == 2]
    return range(min(ends), max(ends) + 1)


def _kind_of(stored: Sequence[np.ndarray], scales: Sequence[tuple[float, float]] | None) -> np.dtype:
    """The type of the values; without `scales` that of the stored ones."""
    if scales is None:
        return np.result_type(*stored)
    is_whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales)
    most = max(max(abs(float(frames.min())), abs(float(frames.max()))) for frames in stored)
    reach = max(abs(slope) * most + abs(intercept) for slope, intercept in scales)
    is_integer = all(frames.dtype.kind in "iu" for frames in stored)
    return np.dtype(np.int32 if is_integer and is_whole and reach < 2**31 else np.float32)
