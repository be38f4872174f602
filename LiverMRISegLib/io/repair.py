"""Voxels that are not measurements: not finite, or a number that stands for "outside". Repaired, and said aloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import InputError

# Share of voxels that are not finite: of damage that can be repaired, and of a background that was cut away.
_MOST_DAMAGED, _MOST_BACKGROUND = 0.01, 0.9
# A padding value is that of some voxels, and apart from all others by more than these differ among each other.
_LEAST_PADDING, _APART = 0.005, 1.0
_SAMPLE = 200_000


def repaired(array: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """`array` [Z, Y, X] with such voxels set to the lowest value of the others, and what was done.

    Raises:
        InputError: so many voxels are not finite that the image is damaged.
    """
    notes: list[str] = []
    if array.dtype.kind == "f":
        array, notes = _finite(array, path)
    padding = padding_of(array)
    if padding is not None:
        value, lowest = padding
        outside = array == value
        notes.append(f"{outside.mean():.0%} of the voxels have the value {value:g}, taken as outside of the image")
        array = np.where(outside, array.dtype.type(lowest), array)
    return array, notes


def _finite(array: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    finite = np.isfinite(array)
    share = 1.0 - float(finite.mean())
    if share == 0:
        return array, []
    is_background = share <= _MOST_BACKGROUND and not np.isinf(array).any() and _is_around(~finite, share)
    if share > _MOST_DAMAGED and not is_background:
        raise InputError(f"{path}: {share:.0%} of the voxels are NaN or infinite; export the volume again")
    mended = np.where(finite, array, array[finite].min())
    if share > _MOST_DAMAGED:
        return mended, [f"{share:.0%} of the voxels are NaN, taken as outside of the image"]
    return mended, [f"{(~finite).sum()} voxels are NaN or infinite and were set to the lowest value"]


def _is_around(mask: np.ndarray, share: float) -> bool:
    """Whether the mask is more frequent at the edges of the slices than elsewhere."""
    edges = [mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]]
    return sum(int(edge.sum()) for edge in edges) > 1.2 * share * sum(edge.size for edge in edges)


def padding_of(array: np.ndarray) -> tuple[float, float] | None:
    """The padding value and the lowest of the others, or None if there is no such value.

    Of a CT it is air, or padding that belongs to it: those are as they are at -2000 or more.
    """
    sample = array.reshape(-1)[:: max(1, array.size // _SAMPLE)]
    value = sample.min()
    others = sample[sample != value]
    if value > -2000 or others.size == 0 or 1 - others.size / sample.size < _LEAST_PADDING:
        return None
    if float(others.min()) - float(value) <= _APART * (float(others.max()) - float(others.min())):
        return None
    others = array[array != value]
    if float(array.min()) != float(value) or float(others.min()) - float(value) < 1000:
        return None
    return float(value), float(others.min())
