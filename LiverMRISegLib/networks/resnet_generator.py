"""CycleGAN's generator (Zhu et al. 2017, after Johnson et al. 2016): two down-samplings, residual blocks, two up."""

from __future__ import annotations

import torch
from torch import nn


class ReflectedBlock(nn.Module):
    """Two 3x3 convolutions with reflected edges and instance norm, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, channels, 3), nn.ReLU(inplace=True), *_convolution(channels, channels, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, Y, X] to the same shape."""
        changed: torch.Tensor = x + self.body(x)
        return changed


class ResnetGenerator(nn.Module):
    """Slices [B, 1, Y, X] in [-1, 1] to slices of the other domain; Y and X are multiples of 4.

    Args:
        channels: of the slices.
        width: channels of the first layer (64 with 9 blocks has 11,365,633 parameters for one channel).
        blocks: residual blocks at a quarter of the resolution.
    """

    def __init__(self, channels: int = 1, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, width, 7),
            nn.ReLU(inplace=True),
            *_down(width, 2 * width),
            *_down(2 * width, 4 * width),
            *(ReflectedBlock(4 * width) for _ in range(blocks)),
            *_up(4 * width, 2 * width),
            *_up(2 * width, width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, channels, 7),
            nn.Tanh(),
        )
        self.apply(small_weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the class."""
        translated: torch.Tensor = self.body(x)
        return translated


def small_weights(module: nn.Module) -> None:
    """CycleGAN's initialisation: weights normal with deviation 0.02, biases 0; for `Module.apply`."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel), nn.InstanceNorm2d(outputs)]


def _down(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.InstanceNorm2d(outputs), nn.ReLU(inplace=True)]


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    up = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)
    return [up, nn.InstanceNorm2d(outputs), nn.ReLU(inplace=True)]
