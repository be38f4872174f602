"""Elastic deformation of patches (Simard et al. 2003), as large as in MiDSS's public code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

# MiDSS smooths white noise by 0.08 of the side, and its displacements have a standard deviation of 4.07 pixels: 0.0106
# of the prostate images' 384. The noise is drawn on a grid that follows such a smoothing without loss.
_SMOOTHNESS = 0.08
_DISPLACEMENT = 0.0106
_POINTS = 32
_FARTHEST = 4.0


def elastic_margin(patch: Sequence[int]) -> tuple[int, int, int]:
    """How far outside the patch a deformed one may look, in voxels per axis."""
    z, y, x = (math.ceil(_FARTHEST * _DISPLACEMENT * n) + 1 for n in patch)
    return (z, y, x)


def deformed(array: np.ndarray, patch: Sequence[int], seed: int, *, is_labels: bool) -> np.ndarray:
    """The patch in the middle of `array`, deformed.

    Args:
        array: [Z, Y, X], `elastic_margin` larger than the patch at every side.
        patch: size [Z, Y, X].
        seed: draws the displacements; the same for an image and its labels.
        is_labels: labels are taken nearest, images linearly.

    Returns:
        float32 of the patch's size.
    """
    moved = _displacements(patch, seed)
    for axis, (n, m) in enumerate(zip(patch, elastic_margin(patch), strict=True)):
        along = torch.arange(m, m + n, dtype=torch.float32).view([-1 if a == axis else 1 for a in range(3)])
        moved[axis] = 2 * (moved[axis] + along) / (array.shape[axis] - 1) - 1
    image = torch.from_numpy(array.astype(np.float32))[None, None]
    grid = moved.flip(0).movedim(0, -1)[None]  # grid_sample wants X, Y, Z
    mode = "nearest" if is_labels else "bilinear"
    found: np.ndarray = F.grid_sample(image, grid, mode, padding_mode="border", align_corners=True)[0, 0].numpy()
    return found


def _displacements(patch: Sequence[int], seed: int) -> torch.Tensor:
    """In voxels [3, Z, Y, X], of `_DISPLACEMENT` of every side in the mean square."""
    random = np.random.default_rng(seed)
    points = [min(n, _POINTS) for n in patch]
    fields = []
    for n in patch:
        noise = gaussian_filter(random.uniform(-1, 1, points), [_SMOOTHNESS * p for p in points], mode="wrap")
        fields.append(noise / max(float(noise.std()), 1e-12) * _DISPLACEMENT * n)
    field = torch.from_numpy(np.stack(fields).astype(np.float32))[None]
    whole = F.interpolate(field, tuple(patch), mode="trilinear", align_corners=True)[0]
    limits = torch.tensor([_FARTHEST * _DISPLACEMENT * n for n in patch]).view(3, 1, 1, 1)
    return torch.maximum(torch.minimum(whole, limits), -limits)
