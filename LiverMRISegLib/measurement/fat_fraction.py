"""The fat fraction of two images, where the scanner made no PDFF map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.measurement.maps import QuantityMap
from LiverMRISegLib.volume import Volume, turned_to

_WATER_AND_FAT = "signal fat fraction of water and fat images, not corrected for T1 and noise as a PDFF is"
_PHASES = (
    "fat fraction of in- and out-of-phase images, water-dominant assumed: f may be 100 - f where there is more fat "
    "than water; not corrected for T2* and T1"
)


def fat_fraction_of_water_and_fat(water: Volume, fat: Volume) -> QuantityMap:
    """100 * F / (W + F) in percent, NaN where there is no signal (Reeder et al., J Magn Reson Imaging 2012, eq. 1).

    Raises:
        InputError: the images are not on one grid.
    """
    w, f = _together(water, fat, "water", "fat")
    return _map(water, f, w + f, _WATER_AND_FAT)


def fat_fraction_of_phases(in_phase: Volume, out_phase: Volume) -> QuantityMap:
    """100 * (IP - OP) / (2 * IP) in percent, NaN where there is no signal (Dixon 1984; Reeder et al. 2012).

    Magnitudes do not tell which of water and fat is more: where fat is, the true value is 100 minus this one.

    Raises:
        InputError: the images are not on one grid.
    """
    ip, op = _together(in_phase, out_phase, "in-phase", "out-of-phase")
    return _map(in_phase, ip - op, 2 * ip, _PHASES)


def _together(first: Volume, second: Volume, one: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    turned = turned_to(second, first.geometry, 0.05)
    if turned is None:
        raise InputError(
            f"{second.name}: the {other} image {second.geometry.size} is not on the grid of the {one} image "
            f"{first.geometry.size}; give the two images of one acquisition"
        )
    return first.array.astype(np.float32), turned.array.astype(np.float32)


def _map(source: Volume, part: np.ndarray, whole: np.ndarray, note: str) -> QuantityMap:
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(whole > 0, 100 * part / whole, np.float32(np.nan))
    return QuantityMap(replace(source, array=percent.astype(np.float32)), "%", note)
