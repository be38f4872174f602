"""Anatomy space (paper 004): gradient magnitudes, in which CT and MR look alike; the same in training and inference."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.preparation.normalisation import LEAST_SPREAD

# Deviation in voxels of the smoothing before the gradients, by the name of the space.
SMOOTHING = {"anatomy": 0.0, "smooth anatomy": 1.0}
_REACH = 3  # of the smoothing, in deviations
_CLIPPED = (1.0, 99.0)  # percentiles of a volume without a known window, before the gradients
_SHOWN = (0.5, 99.5)  # of the magnitudes


def sobel_magnitude(image: np.ndarray) -> np.ndarray:
    """sqrt(sum of squared Sobel gradients) over all axes of a slice [Y, X] or volume [Z, Y, X], per voxel; float32.

    The kernels are normalised: a ramp of slope 1 has magnitude 1. The border is mirrored.
    """
    source = np.asarray(image, np.float32)
    squares = np.zeros_like(source)
    for axis in range(source.ndim):
        gradient = _along(source, axis, np.subtract, 0.0, 0.5)
        for other in range(source.ndim):
            if other != axis:
                gradient = _along(gradient, other, np.add, 0.5, 0.25)
        squares += gradient**2
    return np.sqrt(squares)


def to_unit_range(image: np.ndarray, low: float = _CLIPPED[0], high: float = _CLIPPED[1]) -> np.ndarray:
    """`image` clipped at two percentiles and scaled to [-1, 1]; float32. A constant image becomes -1."""
    darkest, brightest = (float(v) for v in np.percentile(image, (low, high)))
    clipped = np.clip(image.astype(np.float32), darkest, brightest)
    scaled: np.ndarray = 2 * (clipped - darkest) / max(brightest - darkest, LEAST_SPREAD) - 1
    return scaled


def to_anatomy_space(image: np.ndarray, space: str = "anatomy") -> np.ndarray:
    """What the networks of paper 004 see of a volume in [-1, 1]: its Sobel magnitude, scaled to [-1, 1].

    In space "smooth anatomy" (ours) the volume is smoothed by a voxel first: the inside of organs, which has more
    texture in MR than in CT, then stands out less against outlines.
    """
    return to_unit_range(sobel_magnitude(smoothed(image, SMOOTHING[space])), *_SHOWN)


def smoothed(image: np.ndarray, deviation: float) -> np.ndarray:
    """`image` under a Gaussian of `deviation` voxels along every axis, the border mirrored; as it is for 0. Float32."""
    result = np.asarray(image, np.float32)
    if not deviation:
        return result
    reach = round(_REACH * deviation)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    for axis in range(result.ndim):
        padded = np.pad(result, [(reach, reach) if a == axis else (0, 0) for a in range(result.ndim)], mode="symmetric")
        moved = np.moveaxis(padded, axis, 0)
        size = result.shape[axis]
        total = sum(weight * moved[shift : shift + size] for shift, weight in enumerate(weights))
        result = np.ascontiguousarray(np.moveaxis(np.asarray(total, np.float32), 0, axis))
    return result


def _along(image: np.ndarray, axis: int, join: np.ufunc, centre: float, sides: float) -> np.ndarray:
    """`centre` x each voxel + `sides` x (next `join` previous) along `axis`."""
    if image.shape[axis] == 1:
        return (centre + sides * float(join(1.0, 1.0))) * image
    padded = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in range(image.ndim)], mode="reflect")
    moved = np.moveaxis(padded, axis, 0)
    made = centre * moved[1:-1] + sides * join(moved[2:], moved[:-2])
    return np.moveaxis(made, 0, axis)
