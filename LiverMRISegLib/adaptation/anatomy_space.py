"""Anatomy space (paper 004): gradient magnitudes, in which CT and MR look alike."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import SobelGradients


def sobel_magnitude(image: np.ndarray) -> np.ndarray:
    """sqrt(sum of squared Sobel gradients) over all axes of a slice [Y, X] or volume [Z, Y, X], per voxel; float32.

    The kernels are normalised: a ramp of slope 1 has magnitude 1.
    """
    gradients = SobelGradients(normalize_kernels=True)(torch.from_numpy(image.astype(np.float32))[None])
    return np.asarray(torch.linalg.vector_norm(torch.as_tensor(gradients), dim=0), np.float32)


def to_unit_range(image: np.ndarray, low: float = 0.5, high: float = 99.5) -> np.ndarray:
    """`image` clipped at two percentiles and scaled to [-1, 1]; float32. A constant image becomes -1."""
    darkest, brightest = (float(v) for v in np.percentile(image, (low, high)))
    clipped = np.clip(image.astype(np.float32), darkest, brightest)
    scaled: np.ndarray = 2 * (clipped - darkest) / max(brightest - darkest, 1e-6) - 1
    return scaled


def to_anatomy_space(image: np.ndarray) -> np.ndarray:
    """What the networks of paper 004 see: the Sobel magnitude, scaled to [-1, 1]."""
    return to_unit_range(sobel_magnitude(image))
