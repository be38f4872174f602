"""What the values of a map in an organ are: mean, spread, percentiles, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERCENTILES = (5, 25, 75, 95)
# Of a normal distribution the standard deviation is this times the median absolute deviation.
_SD_OF_MAD = 1.4826
_LEAST_FOR_RULE = 20


@dataclass(frozen=True)
class MapStatistics:
    """The values of a map in an organ, in the map's unit; None where there is no such figure, and `remarks` say why.

    `voxels` counts the map's own voxels that the figures are of. Left out are `not_finite` (NaN, infinite, padding) and
    `outliers` (by the histogram rule). `covered` is the share of the organ (after the
    erosion), 0 to 1, that is inside the map.
    `sd` is that of a sample (n - 1).
    """

    voxels: int = 0
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    p5: float | None = None
    p25: float | None = None
    p75: float | None = None
    p95: float | None = None
    not_finite: int = 0
    outliers: int = 0
    covered: float | None = None
    remarks: tuple[str, ...] = ()


def described(values: np.ndarray, outliers: float | None, covered: float) -> MapStatistics:
    """The statistics of `values`, without those that are not finite and, if `outliers` is k, without those that are
    farther than k * 1.4826 * MAD from the median (Leys et al., J Exp Soc Psychol 2013), judged once.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    not_finite = values.size - finite.size
    kept = finite if outliers is None else _without_outliers(finite, outliers)
    left_out = finite.size - kept.size
    if not kept.size:
        return MapStatistics(not_finite=not_finite, covered=covered)
    low, lower, upper, high = (float(v) for v in np.percentile(kept, PERCENTILES))
    sd = float(kept.std(ddof=1)) if kept.size > 1 else None
    middle = float(np.median(kept))
    return MapStatistics(
        kept.size, float(kept.mean()), sd, middle, low, lower, upper, high, not_finite, left_out, covered
    )


def _without_outliers(values: np.ndarray, k: float) -> np.ndarray:
    """Of few voxels, or where most have one value, the rule cannot judge, and leaves all."""
    if values.size < _LEAST_FOR_RULE:
        return values
    distance = np.abs(values - np.median(values))
    spread = float(np.median(distance))
    return values if spread == 0 else values[distance <= k * _SD_OF_MAD * spread]
