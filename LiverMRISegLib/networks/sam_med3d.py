"""SAM-Med3D's image encoder: a ViT over cubes of 16 voxels, 128^3 voxels in, 384 x 8^3 features out (methods.md 6.2).

The names of its tensors are those of `image_encoder.*` in the authors' checkpoints. Behaviour follows them in what one
would not expect: a grid of 8^3 cubes is padded with zeros to one window of 14^3, and the padding takes part in the
attention of that window.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from LiverMRISegLib.errors import UsageError

_EPSILON = 1e-6


class SamMed3DEncoder(nn.Module):
    """The encoder; defaults are those of `sam_med3d_turbo.pth` ("vit_b_ori").

    Args:
        size: voxels of the input cube along an axis.
        patch: voxels of the cubes that become tokens, along an axis; divides `size`.
        width: channels of the tokens.
        depth: number of blocks.
        heads: attention heads; divides `width`.
        out_channels: channels of the features.
        window: tokens along an axis of the windows that attention is kept to.
        global_blocks: numbers of the blocks with attention among all tokens.

    Raises:
        UsageError: sizes that do not divide.
    """

    def __init__(
        self,
        *,
        size: int = 128,
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        out_channels: int = 384,
        window: int = 14,
        global_blocks: Sequence[int] = (2, 5, 8, 11),
    ) -> None:
        super().__init__()
        if size % patch or width % heads:
            raise UsageError(f"patch {patch} must divide size {size}, and heads {heads} width {width}")
        self.size, self.patch, self.channels, grid = size, patch, out_channels, size // patch
        self.patch_embed = _PatchEmbedding(patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, width))
        self.blocks = nn.ModuleList(
            _Block(width, heads, 0 if number in global_blocks else window, grid) for number in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv3d(width, out_channels, 1, bias=False),
            _ChannelNorm(out_channels),
            nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False),
            _ChannelNorm(out_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [B, out_channels, n, n, n] of cubes [B, 1, size, size, size], n = size / patch."""
        if x.shape[2:] != (self.size,) * 3:
            raise UsageError(f"SAM-Med3D's encoder takes cubes of {self.size} voxels, not {tuple(x.shape[2:])}")
        tokens = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        features: torch.Tensor = self.neck(tokens.permute(0, 4, 1, 2, 3))
        return features


class _PatchEmbedding(nn.Module):
    """Cubes as tokens [B, n, n, n, width]."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(1, width, patch, stride=patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens of images [B, 1, Z, Y, X]."""
        return self.proj(x).permute(0, 2, 3, 4, 1)


class _Block(nn.Module):
    """Attention, within windows unless `window` is 0, and a perceptron, each added to its input."""

    def __init__(self, width: int, heads: int, window: int, grid: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = _Attention(width, heads, window or grid)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = _Perceptron(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens [B, n, n, n, width] to the same."""
        normed = self.norm1(x)
        x = x + (_in_windows(self.attn, normed, self.window) if self.window else self.attn(normed))
        added: torch.Tensor = x + self.mlp(self.norm2(x))
        return added


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every token by itself."""
        made: torch.Tensor = self.lin2(F.gelu(self.lin1(x)))
        return made


class _Attention(nn.Module):
    """Among all tokens [B, n, n, n, width], with learnt offsets by relative place along each axis."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads, channels = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.rel_pos_d = nn.Parameter(torch.zeros(2 * size - 1, channels))
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, channels))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens mixed, of the same shape."""
        batch, size, width = x.shape[0], x.shape[1], x.shape[4]
        qkv = self.qkv(x).reshape(batch, size**3, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # each [B, heads, tokens, channels]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self._offsets(query, size))
        made: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, size, size, size, width))
        return made

    def _offsets(self, query: torch.Tensor, size: int) -> torch.Tensor:
        """What is added to the scores [B, heads, tokens, tokens]: the query times the entry of each axis's distance.

        The authors index tensors of five axes, so that depth's term goes to the keys' last axis, and the terms of the
        other two take the query at another place. The official weights were trained with that: it is the network.
        """
        place = torch.arange(size, device=query.device)
        distance = place[:, None] - place[None, :] + size - 1
        cube = query.reshape(*query.shape[:2], size, size, size, -1)
        d = torch.einsum("bndhwc,dkc->bndhwk", cube, self.rel_pos_d[distance])[..., None, None, :]
        h = torch.einsum("bndhwc,hkc->bndhwk", cube, self.rel_pos_h[distance])[:, :, :, :, None, :, None, :]
        w = torch.einsum("bndhwc,wkc->bndhwk", cube, self.rel_pos_w[distance])[:, :, :, :, None, None, :, :]
        return (d + h + w).reshape(*query.shape[:2], size**3, size**3)


class _ChannelNorm(nn.Module):
    """Layer norm over the channels of [B, C, z, y, x]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the same shape."""
        last = x.movedim(1, -1)
        return F.layer_norm(last, last.shape[-1:], self.weight, self.bias, _EPSILON).movedim(-1, 1)


def _in_windows(attention: nn.Module, x: torch.Tensor, window: int) -> torch.Tensor:
    """`attention` in each window of `window` tokens along every axis; the grid is padded with zeros at its ends."""
    batch, grid, width = x.shape[0], x.shape[1], x.shape[4]
    missing = -grid % window
    padded = F.pad(x, (0, 0, 0, missing, 0, missing, 0, missing))
    count = padded.shape[1] // window
    cut = padded.reshape(batch, count, window, count, window, count, window, width).permute(0, 1, 3, 5, 2, 4, 6, 7)
    mixed = attention(cut.reshape(-1, window, window, window, width))
    back = mixed.reshape(batch, count, count, count, window, window, window, width).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return back.reshape(batch, *padded.shape[1:4], width)[:, :grid, :grid, :grid]
