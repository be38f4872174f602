"""STU-Net (Huang et al. 2023, arXiv:2304.06716): a residual U-Net of scalable width and depth.

Keys and shapes are those of the authors' checkpoints, so that these load by name. Sizes "s", "b", "l" and "h"
are theirs; "xs" and "xxs" are ours, for computers without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from LiverMRISegLib.networks.instance_norm import InstanceNorm3d
from LiverMRISegLib.networks.sizes import DEFAULT_STRIDES, check_input, check_size


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with instance norm; the skip is a 1x1x1 convolution without norm, or the identity."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: Sequence[int] = (1, 1, 1), *, project: bool
    ) -> None:
        super().__init__()
        step = (stride[0], stride[1], stride[2])
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, step, padding=1)
        self.norm1 = InstanceNorm3d(out_channels, affine=True)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1)
        self.norm2 = InstanceNorm3d(out_channels, affine=True)
        self.conv3 = nn.Conv3d(in_channels, out_channels, 1, step) if project else None
        self.act = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, in_channels, Z, Y, X] to [B, out_channels, Z / stride, ...]."""
        skip = x if self.conv3 is None else self.conv3(x)
        x = self.act(self.norm1(self.conv1(x)))
        return self.act(self.norm2(self.conv2(x)) + skip)


class Upsample(nn.Module):
    """Nearest-neighbour enlargement by `factor`, then a 1x1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, factor: Sequence[int]) -> None:
        super().__init__()
        self.factor = tuple(float(f) for f in factor)
        self.conv = nn.Conv3d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, in_channels, Z, Y, X] to [B, out_channels, Z * factor, ...]."""
        # Both steps commute exactly; the convolution first does the same on far fewer voxels.
        return nn.functional.interpolate(self.conv(x), scale_factor=self.factor, mode="nearest")


class STUNet(nn.Module):
    """STU-Net of six resolutions.

    Args:
        in_channels: image channels.
        out_channels: classes, background included.
        widths: channels of the six resolutions, finest first.
        blocks: residual blocks per stage.
        strides: the five down-samplings, each [Z, Y, X]; input sizes must be divisible by their product.
        deep_supervision: whether `forward` returns the logits of all five decoder levels.

    Raises:
        UsageError: widths or strides of the wrong number.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int],
        blocks: int = 1,
        strides: Sequence[Sequence[int]] = DEFAULT_STRIDES,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        check_size(widths, strides)
        self.deep_supervision = deep_supervision
        self.strides = tuple((int(s[0]), int(s[1]), int(s[2])) for s in strides)
        inputs = [in_channels, *widths[:-1]]
        steps = [(1, 1, 1), *self.strides]
        encoder = [_stage(i, o, blocks, s) for i, o, s in zip(inputs, widths, steps, strict=True)]
        self.conv_blocks_context = nn.ModuleList(encoder)
        up = list(reversed(widths))
        pairs = list(pairwise(up))
        self.upsample_layers = nn.ModuleList(
            Upsample(i, o, factor) for (i, o), factor in zip(pairs, reversed(self.strides), strict=True)
        )
        self.conv_blocks_localization = nn.ModuleList(_stage(2 * o, o, blocks) for _, o in pairs)
        self.seg_outputs = nn.ModuleList(nn.Conv3d(o, out_channels, 1) for _, o in pairs)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Logits [B, out_channels, Z, Y, X]; with deep supervision a tuple of five, full resolution first.

        Raises:
            UsageError: the input's size is not divisible by the strides, or so small that one voxel is left, which has
                no variance to be normalised by.
        """
        check_input(self.strides, x.shape[2:])
        skips = []
        for stage in self.conv_blocks_context:
            x = stage(x)
            skips.append(x)
        outputs = []
        for level, stage in enumerate(self.conv_blocks_localization):
            x = stage(torch.cat((self.upsample_layers[level](x), skips[-2 - level]), dim=1))
            if self.deep_supervision or level == len(self.seg_outputs) - 1:
                outputs.append(self.seg_outputs[level](x))
        return tuple(reversed(outputs)) if self.deep_supervision else outputs[0]


def _stage(in_channels: int, out_channels: int, blocks: int, stride: Sequence[int] = (1, 1, 1)) -> nn.Sequential:
    first = ResidualBlock(in_channels, out_channels, stride, project=True)
    rest = (ResidualBlock(out_channels, out_channels, project=False) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
