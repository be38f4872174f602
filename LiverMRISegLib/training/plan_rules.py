"""nnU-Net's rules for spacing, patch, strides, kernels and batch (Isensee et al. 2021), from a data set's fingerprint.

They are those of nnU-Net v2's default planner, and of its planner for ResEncM: the target spacing is the median; the
patch has the aspect ratio of the median image and shrinks along its relatively longest axis until the network's feature
maps fit a reference for 8 GB; axes are halved while their spacings are within a factor of 2 and they are long enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from LiverMRISegLib.networks.sizes import PLAIN, RESIDUAL_ENCODER

_ANISOTROPIC = 3.0
_SHORTEST = 4  # edge of the coarsest feature map, in voxels
_FIRST_PATCH = 256**3
_WIDTH, _MOST_WIDTH = 32, 320
_REFERENCE_GB, _REFERENCE_BATCH, _LEAST_BATCH = 8.0, 2, 2


class _Kind(NamedTuple):
    """What the planners of the two networks have of their own."""

    feature_maps: float  # elements at the reference memory
    blocks: tuple[int, ...]
    most_of_data: float  # share of the data set's voxels in one batch


_KINDS = {
    PLAIN: _Kind(560e6, (2,) * 14, 0.05),
    RESIDUAL_ENCODER: _Kind(680e6, (1, 3, 4, *(6,) * 11), 1.0),
}


@dataclass(frozen=True)
class Topology:
    """Strides and kernels of every level, [Z, Y, X]; `patch` is padded so that the strides divide it."""

    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    patch: tuple[int, ...]

    @property
    def divisor(self) -> list[int]:
        """The product of the strides along each axis."""
        return [math.prod(axis) for axis in zip(*self.strides, strict=True)]


@dataclass(frozen=True)
class TrainingPlan:
    """What nnU-Net would train with; `axes` puts the array's axes in the order that all else here is in."""

    axes: tuple[int, int, int]
    spacing: tuple[float, float, float]
    topology: Topology
    features: tuple[int, ...]
    blocks: tuple[int, ...]
    batch: int


def make_plan(
    spacings: Sequence[Sequence[float]],
    shapes: Sequence[Sequence[int]],
    classes: int,
    *,
    kind: str = PLAIN,
    memory_gb: float = _REFERENCE_GB,
) -> TrainingPlan:
    """The full-resolution plan.

    Args:
        spacings: of every training image in mm, [Z, Y, X].
        shapes: of the images in voxels, cut to what is not 0.
        classes: background included.
        kind: "plain-unet" or "residual-encoder-unet".
        memory_gb: of the GPU that is trained on.
    """
    target = target_spacing(spacings, shapes)
    worst = int(np.argmax(target))
    axes = (worst, *(axis for axis in range(3) if axis != worst))
    resampled = [
        [round(s / t * n) for s, t, n in zip(sp, target, sh, strict=True)]
        for sp, sh in zip(spacings, shapes, strict=True)
    ]
    median = np.median(resampled, axis=0)[list(axes)]
    spacing = [float(target[axis]) for axis in axes]
    topology, estimate, reference = _fitted(spacing, median, classes, kind, memory_gb)
    levels = len(topology.strides)
    batch = round(reference / estimate * _REFERENCE_BATCH)
    voxels = float(np.prod(median)) * len(shapes)
    most = round(voxels * _KINDS[kind].most_of_data / math.prod(topology.patch))
    return TrainingPlan(
        (axes[0], axes[1], axes[2]),
        (spacing[0], spacing[1], spacing[2]),
        topology,
        _features(levels),
        _KINDS[kind].blocks[:levels],
        max(min(batch, most), _LEAST_BATCH),
    )


def target_spacing(spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]) -> np.ndarray:
    """The median; along an axis of thick and few slices the 10th percentile, but not below the other axes' spacing."""
    found = np.asarray(spacings, float)
    target, size = np.median(found, axis=0), np.median(np.asarray(shapes, float), axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    is_thick = target[worst] > _ANISOTROPIC * max(target[others])
    if is_thick and size[worst] * _ANISOTROPIC < min(size[others]):
        fine = float(np.percentile(found[:, worst], 10))
        least = float(max(target[others]))
        target[worst] = fine if fine >= least else least + 1e-5
    return target


def topology_of(spacing: Sequence[float], patch: Sequence[int]) -> Topology:
    """Which axes are halved at each level, and where kernels are 3 wide, for a patch that may be padded."""
    current, size = list(spacing), [float(n) for n in patch]
    kernel = [1, 1, 1]
    strides, kernels = [(1, 1, 1)], []
    while True:
        long = [axis for axis in range(3) if size[axis] >= 2 * _SHORTEST]
        if not long:
            break
        finest = min(current[axis] for axis in long)
        halved = [axis for axis in long if current[axis] / finest < 2]
        if len(halved) == 1 and size[halved[0]] < 3 * _SHORTEST:
            break
        kernel = [3 if k == 3 or current[axis] / min(current) < 2 else 1 for axis, k in enumerate(kernel)]
        kernels.append((kernel[0], kernel[1], kernel[2]))
        stride = [2 if axis in halved else 1 for axis in range(3)]
        strides.append((stride[0], stride[1], stride[2]))
        for axis in halved:
            current[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
    kernels.append((3, 3, 3))
    divisor = [math.prod(axis) for axis in zip(*strides, strict=True)]
    padded = tuple(-(-int(n) // d) * d for n, d in zip(patch, divisor, strict=True))
    return Topology(tuple(strides), tuple(kernels), padded)


def _fitted(
    spacing: Sequence[float], median: np.ndarray, classes: int, kind: str, memory_gb: float
) -> tuple[Topology, float, float]:
    """The topology whose feature maps fit the memory, their elements, and the reference that they were held against."""
    inverse = 1 / np.asarray(spacing)
    first = inverse * (_FIRST_PATCH / inverse.prod()) ** (1 / 3)
    patch = [int(min(round(size), most)) for size, most in zip(first, median, strict=True)]
    topology = topology_of(spacing, patch)
    reference = _KINDS[kind].feature_maps * memory_gb / _REFERENCE_GB
    while (estimate := _feature_maps(topology, classes, kind)) > reference:
        longest = int(np.argsort([n / m for n, m in zip(topology.patch, median, strict=True)])[-1])
        shorter = list(topology.patch)
        shorter[longest] -= topology.divisor[longest]
        step = topology_of(spacing, shorter).divisor[longest]
        smaller = list(topology.patch)
        smaller[longest] -= step
        topology = topology_of(spacing, smaller)
    return topology, estimate, reference


def _features(levels: int) -> tuple[int, ...]:
    return tuple(min(_MOST_WIDTH, _WIDTH * 2**level) for level in range(levels))


def _feature_maps(topology: Topology, classes: int, kind: str) -> float:
    """Elements of all feature maps of the network of one image a case, as its library counts them."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

    levels = len(topology.strides)
    with torch.device("meta"):  # sizes alone: no weights are made
        network = (PlainConvUNet if kind == PLAIN else ResidualEncoderUNet)(
            1, levels, list(_features(levels)), torch.nn.Conv3d, [list(k) for k in topology.kernels],
            [list(s) for s in topology.strides], list(_KINDS[kind].blocks[:levels]), classes,
            [2 if kind == PLAIN else 1] * (levels - 1), conv_bias=True, norm_op=torch.nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True},
            deep_supervision=False,
        )  # fmt: skip
    return float(network.compute_conv_feature_map_size(list(topology.patch)))
