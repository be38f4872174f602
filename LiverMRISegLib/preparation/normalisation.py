"""Intensities as the networks expect them; the same code in training and in inference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from LiverMRISegLib.models.package.specification import ChannelSpec, PreparationSpec

_SAMPLES = 400_000
# What is darker than this share of the way from an image's darkest voxel to its 99th percentile is air.
AIR_SHARE = 0.05
# What an image of one value is divided by. Far below any unit of intensity: files in e-12 of something exist.
LEAST_SPREAD = 1e-30


def normalise(array: np.ndarray, preparation: PreparationSpec | ChannelSpec) -> np.ndarray:
    """`array` [..., Z, Y, X] normalised as `preparation.normalisation` says; float32, a new array."""
    image = array.astype(np.float32)
    if preparation.normalisation == "ct":
        return _ct(image, preparation.intensity)
    if preparation.normalisation == "none":
        return image
    if preparation.normalisation == "unit-range":
        image -= image.min()
        image /= max(float(image.max()), LEAST_SPREAD)
        return image
    if preparation.normalisation == "percentile-z-score":
        np.minimum(image, bright_limit(image), out=image)
    known = _known(image, preparation.normalisation)
    mean, deviation = float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64))
    outside = image == 0 if preparation.normalisation == "z-score-nonzero" else None
    image -= mean
    image /= max(deviation, LEAST_SPREAD)
    if outside is not None:
        image[outside] = 0
    return image


def _known(image: np.ndarray, normalisation: str) -> np.ndarray:
    """The voxels whose mean and deviation count; all if none does."""
    if normalisation not in ("z-score-nonzero", "z-score-positive"):
        return image
    known = image[image != 0] if normalisation == "z-score-nonzero" else image[image > 0]
    return known if known.size else image


def brighter_than_air(image: np.ndarray) -> np.ndarray:
    """Where an image is above 5 % of the way from its darkest voxel to its 99th percentile; bool, of its shape."""
    darkest, bright = float(image.min()), float(np.percentile(image, 99))
    found: np.ndarray = image > darkest + AIR_SHARE * (bright - darkest)
    return found


def bright_limit(image: np.ndarray) -> float:
    """The 99.5 percentile of what is brighter than air, so that the limit does not depend on the field of view."""
    flat = image.reshape(-1)
    flat = flat[:: max(1, flat.size // _SAMPLES)]
    tissue = flat[brighter_than_air(flat)]
    return float(np.percentile(tissue, 99.5)) if tissue.size else float(flat.max())


def _ct(image: np.ndarray, intensity: Mapping[str, float]) -> np.ndarray:
    np.clip(image, intensity["low"], intensity["high"], out=image)
    image -= intensity["mean"]
    image /= max(intensity["std"], 1e-8)
    return image
