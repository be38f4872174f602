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
        share: the box of frequencies reaches floor(share * shortest side) from the centre along every axis, 1 at least:
            the public code's slices of 128 to 384 pixels never have less, and of the mean alone no style is left.
    """
    axes = tuple(range(1, source.dim()))
    spectrum, other = (torch.fft.fftshift(torch.fft.fftn(i, dim=axes), dim=axes) for i in (source, target))
    reach = max(1, math.floor(min(source.shape[1:]) * share))
    box = (slice(None), *(slice(n // 2 - reach, n // 2 + reach + 1) for n in source.shape[1:]))
    amplitude = spectrum.abs()
    amplitude[box] = (1 - ratio) * amplitude[box] + ratio * other.abs()[box]
    mixed = torch.fft.ifftshift(torch.polar(amplitude, spectrum.angle()), dim=axes)
    return torch.fft.ifftn(mixed, dim=axes).real


def into_style(source: torch.Tensor, target: torch.Tensor, ratio: float, share: float = 0.01) -> torch.Tensor:
    """`mix_amplitude` of images [C, ...] of any scale: where both span 0 to 1, and then back to the source's scale.

    So patches of one volume stay comparable, and what was mixed into the mean stays.
    """
    (low, span), (other_low, other_span) = _range(source), _range(target)
    mixed = mix_amplitude((source - low) / span, (target - other_low) / other_span, ratio, share)
    return mixed * span + low


def _range(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The 1st percentile, and how far the 99th is above it (of at most a million voxels)."""
    flat = image.flatten()
    flat = flat[:: max(1, flat.numel() // 1_000_000)]
    low, high = torch.quantile(flat, 0.01), torch.quantile(flat, 0.99)
    return low, (high - low).clamp(min=1e-6)
