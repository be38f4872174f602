"""Intensities changed, voxels left where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from LiverMRISegLib.preparation.normalisation import LEAST_SPREAD
from LiverMRISegLib.volume import Volume


def with_gamma(image: Volume, gamma: float) -> Volume:
    """Intensities raised to the power `gamma` where 0 is the darkest and 1 the 99th percentile."""
    array, level = from_darkest(image)
    return replace(image, array=(level * (array / level) ** gamma).astype(np.float32))


def from_darkest(image: Volume) -> tuple[np.ndarray, float]:
    """The image shifted so that its darkest voxel is 0, float32, and its 99th percentile, which is always above 0."""
    array = image.array.astype(np.float32)
    array = array - array.min()
    return array, max(float(np.percentile(array, 99)), LEAST_SPREAD)
