"""Intensities changed, voxels left where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from LiverMRISegLib.volume import Volume


def with_gamma(image: Volume, gamma: float) -> Volume:
    """Intensities raised to the power `gamma` where 0 is the darkest and 1 the 99th percentile."""
    array, level = _floated(image)
    return replace(image, array=(level * (array / level) ** gamma).astype(np.float32))


def _floated(image: Volume) -> tuple[np.ndarray, float]:
    """The image from 0 on as float32, and its 99th percentile, above 0 always."""
    array = image.array.astype(np.float32)
    array = array - array.min()
    return array, max(float(np.percentile(array, 99)), 1e-6)
