"""Mixing the low frequencies' amplitudes of two images (MiDSS: Ma et al. 2024, TP-RAM), in 2D or 3D."""

from __future__ import annotations

import math

import torch


def mix_amplitude(source: torch.Tensor, target: torch.Tensor, ratio: float, share: float = 0.01) -> torch.Tensor:
    """`source` with the amplitudes of its lowest frequencies moved towards `target`'s; phases stay.

    Args:
        source: image [C, (Z,) Y, X], real.
        target: of the same shape.
        ratio: 0 returns the source, 1 takes the target's amplitudes.
        share: the box of frequencies reaches floor(share * shortest side) from the centre along every axis; where
            that is 0, only the mean is mixed.
    """
    axes = tuple(range(1, source.dim()))
    spectrum, other = (torch.fft.fftshift(torch.fft.fftn(i, dim=axes), dim=axes) for i in (source, target))
    reach = math.floor(min(source.shape[1:]) * share)
    box = (slice(None), *(slice(n // 2 - reach, n // 2 + reach + 1) for n in source.shape[1:]))
    amplitude = spectrum.abs()
    amplitude[box] = (1 - ratio) * amplitude[box] + ratio * other.abs()[box]
    mixed = torch.fft.ifftshift(torch.polar(amplitude, spectrum.angle()), dim=axes)
    return torch.fft.ifftn(mixed, dim=axes).real


def into_style(source: torch.Tensor, target: torch.Tensor, ratio: float, share: float = 0.01) -> torch.Tensor:
    """`mix_amplitude` of images [C, ...] after z-score: mixed where both span 0 to 1, then z-scored again."""
    mixed = mix_amplitude(_unit(source), _unit(target), ratio, share)
    return (mixed - mixed.mean()) / mixed.std().clamp(min=1e-6)


def _unit(image: torch.Tensor) -> torch.Tensor:
    """Scaled so that the 1st and 99th percentile become 0 and 1 (of at most a million voxels)."""
    flat = image.flatten()
    flat = flat[:: max(1, flat.numel() // 1_000_000)]
    low, high = torch.quantile(flat, 0.01), torch.quantile(flat, 0.99)
    return (image - low) / (high - low).clamp(min=1e-6)
