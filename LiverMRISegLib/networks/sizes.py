"""Names and sizes of the networks: plain numbers for the torch modules, the OpenVINO graphs and the importers alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.errors import UsageError

Strides = tuple[tuple[int, int, int], ...]
DEFAULT_STRIDES: Strides = ((2, 2, 2),) * 5
GENERIC = "stunet"
RESIDUAL_ENCODER = "residual-encoder-unet"
PLAIN = "plain-unet"
NNUNETS = (PLAIN, RESIDUAL_ENCODER)
SAM_MED3D = "sam-med3d-encoder"


@dataclass(frozen=True)
class Size:
    """Channels of the six resolutions (finest first) and residual blocks per stage."""

    widths: tuple[int, int, int, int, int, int]
    blocks: int


# S, B, L, H: methods.md 1.1. XS and XXS: widths chosen by the time of a training step on a CPU, whose kernels take
# 16 channels at a time: XS has S's fine levels, where the time goes, and half of S's coarse ones, where weights are.
STUNET_SIZES: dict[str, Size] = {
    "stunet-xxs": Size((8, 16, 32, 64, 128, 128), 1),
    "stunet-xs": Size((16, 32, 64, 128, 128, 128), 1),
    "stunet-s": Size((16, 32, 64, 128, 256, 256), 1),
    "stunet-b": Size((32, 64, 128, 256, 512, 512), 1),
    "stunet-l": Size((64, 128, 256, 512, 1024, 1024), 2),
    "stunet-h": Size((96, 192, 384, 768, 1536, 1536), 3),
}


def resolve_size(name: str, kwargs: Mapping[str, Any]) -> tuple[Size, dict[str, Any]]:
    """The size of the STU-Net `name` and the remaining kwargs; the generic name "stunet" takes widths and blocks.

    Raises UsageError if it is another network's name, or if widths are missing.
    """
    rest = dict(kwargs)
    if name in STUNET_SIZES:
        return STUNET_SIZES[name], rest
    if name != GENERIC:
        raise UsageError(f"network '{name}' is not a STU-Net")
    if "widths" not in rest:
        raise UsageError(f"network '{GENERIC}' needs widths, six numbers of channels")
    widths = tuple(int(w) for w in rest.pop("widths"))
    check_size(widths, DEFAULT_STRIDES)
    return Size(widths, int(rest.pop("blocks", 1))), rest  # type: ignore[arg-type]


def check_size(widths: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
    """UsageError unless there are six widths and five strides of three numbers."""
    if len(widths) != 6 or min(widths) < 1:
        raise UsageError(f"widths must be six positive numbers of channels, not {list(widths)}")
    if len(strides) != 5 or any(len(s) != 3 or min(s) < 1 for s in strides):
        raise UsageError(f"strides must be five triples [Z, Y, X] of positive integers, not {list(strides)}")


def check_input(strides: Sequence[Sequence[int]], shape: Sequence[int]) -> None:
    """UsageError unless all strides divide an input of `shape` [Z, Y, X], and leave more than one voxel of it.

    One voxel has no variance that instance normalisation could divide by.
    """
    whole = [math.prod(int(stride[axis]) for stride in strides) for axis in range(3)]
    if any(size % stride for size, stride in zip(shape, whole, strict=True)):
        nearest = [max(1, round(size / stride)) * stride for size, stride in zip(shape, whole, strict=True)]
        raise UsageError(
            f"a patch of {list(shape)} voxels does not fit the network's strides: its sides must be multiples of"
            f" {whole}; the nearest is {nearest}"
        )
    if math.prod(shape) == math.prod(whole):
        raise UsageError(
            f"a patch of {list(shape)} voxels is too small: one voxel is left after all strides; enlarge it"
        )


def check_nnunet(
    features: Sequence[int], strides: Sequence[Sequence[int]], blocks: Sequence[int], kernels: Sequence[Sequence[int]]
) -> None:
    """UsageError unless all are given per stage, of two stages or more."""
    stages = len(features)
    if stages < 2 or min(features) < 1:
        raise UsageError(f"features must be positive numbers of channels of two or more stages, not {list(features)}")
    if len(strides) != stages or any(len(s) != 3 or min(s) < 1 for s in strides) or any(s != 1 for s in strides[0]):
        raise UsageError(f"strides must be {stages} triples [Z, Y, X], the first [1, 1, 1], not {list(strides)}")
    if len(blocks) != stages or min(blocks) < 1:
        raise UsageError(f"blocks must be {stages} positive numbers, not {list(blocks)}")
    if kernels and (len(kernels) != stages or any(len(k) != 3 or any(n % 2 == 0 for n in k) for k in kernels)):
        raise UsageError(f"kernels must be {stages} triples of odd numbers, not {list(kernels)}")
