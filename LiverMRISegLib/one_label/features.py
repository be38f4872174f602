"""Dense features of a volume by a frozen encoder: what one-label training (paper 002) measures likeness in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.inference.engines.select import device_in_torch
from LiverMRISegLib.inference.tiling import tile_starts
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.networks.registry import SAM_MED3D_ENCODER, STUNET, network_named
from LiverMRISegLib.preparation.interpolation import resize_linear
from LiverMRISegLib.preparation.own_scheme import Prepared, prepare
from LiverMRISegLib.volume import Volume

_OVERLAP = 0.5
LEVELS = (1, 2, 3, 4)


class FeatureEncoder(Protocol):
    """Anything that makes features of an image prepared as `preparation` says; equal `fingerprint`s make equal ones."""

    @property
    def fingerprint(self) -> str:
        """A short name of the encoder and its weights."""

    @property
    def preparation(self) -> PreparationSpec:
        """How an image must be prepared."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Features float32 [C, z, y, x], spread evenly over the extent of `image` [Z, Y, X]."""


@dataclass(frozen=True)
class Features:
    """`array` float32 [C, z, y, x] over the extent of `prepared.oriented`."""

    array: np.ndarray
    prepared: Prepared

    @property
    def whole(self) -> np.ndarray:
        """The mean feature of the volume, of length 1: [C]."""
        mean = self.array.reshape(len(self.array), -1).mean(axis=1)
        whole: np.ndarray = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return whole


def encode(volume: Volume, encoder: FeatureEncoder) -> Features:
    """Prepare `volume` for `encoder` and let it make its features."""
    prepared = prepare(volume, encoder.preparation)
    return Features(np.asarray(encoder(prepared.image), np.float32), prepared)


def load_encoder(package: ModelPackage, device: str = "cpu", levels: Sequence[int] = LEVELS) -> FeatureEncoder:
    """The encoder inside a package: of a STU-Net these `levels` of resolution (0 is the finest), of SAM-Med3D all.

    Raises:
        ModelError: a package of another network.
        UsageError: no such device here, or no such levels.
    """
    name = package.spec.network.name
    network = network_named(name)
    if network is SAM_MED3D_ENCODER:
        return SamMed3DFeatures(package, device)
    if network is STUNET:
        return StunetFeatures(package, device, levels)
    raise ModelError(f"{package.path}: features are made by STU-Nets and by SAM-Med3D, not by '{name}'")


class _PackageFeatures:
    """What both encoders have in common: the network in torch on a device."""

    def __init__(self, package: ModelPackage, device: str) -> None:
        from LiverMRISegLib.models.package.built import built_member

        self.preparation, self.device = package.spec.preparation, device_in_torch(device)
        self.network: Any = built_member(package, 0).to(self.device)

    def _on_device(self, image: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None].to(self.device)


class StunetFeatures(_PackageFeatures):
    """A STU-Net's features of some resolutions, of the whole volume at once.

    Those of each level have length 1 and are on the grid of the finest level, so that all count alike (ours: a network
    this small says little in any one level).
    """

    def __init__(self, package: ModelPackage, device: str, levels: Sequence[int]) -> None:
        super().__init__(package, device)
        known = len(self.network.conv_blocks_context)
        if not levels or not all(0 <= level < known for level in levels):
            raise UsageError(f"levels must be some of 0 to {known - 1} for {package.path}, not {list(levels)}")
        self.levels = sorted(set(levels))
        self.stages = list(self.network.conv_blocks_context)[: self.levels[-1] + 1]
        self.stride = np.prod([(1, 1, 1), *self.network.strides[: self.levels[-1]]], axis=0)
        self.fingerprint = f"{package.fingerprint}-levels-{'-'.join(map(str, self.levels))}"

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """As `FeatureEncoder.__call__`; the image is scaled a little so that the strides divide it."""
        x = self._on_device(resize_linear(image, _multiple(image.shape, self.stride)))
        found: list[np.ndarray] = []
        for level, stage in enumerate(self.stages):
            x = stage(x)
            if level in self.levels:
                unit = x[0].float().cpu().numpy()
                unit /= np.maximum(np.linalg.norm(unit, axis=0), 1e-12)
                found.append(unit if not found else np.stack([resize_linear(c, found[0].shape[1:]) for c in unit]))
        return np.concatenate(found)


class SamMed3DFeatures(_PackageFeatures):
    """SAM-Med3D's features, of overlapping cubes for volumes larger than one; the mean where they overlap.

    The authors feed axes in the order x, y, z (torchio's), so the image is turned for them and the features back.
    """

    def __init__(self, package: ModelPackage, device: str) -> None:
        super().__init__(package, device)
        self.patch = self.network.patch
        self.fingerprint = package.fingerprint

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """As `FeatureEncoder.__call__`; outside the volume everything is as dark as its darkest voxel."""
        fitted = resize_linear(image, _multiple(image.shape, (self.patch,) * 3)).transpose(2, 1, 0)
        room = [max(0, self.network.size - n) for n in fitted.shape]
        padded = np.pad(fitted, [(0, r) for r in room], constant_values=float(fitted.min()))
        cells = [n // self.patch for n in padded.shape]
        total, weight = np.zeros((self.network.channels, *cells), np.float32), np.zeros(cells, np.float32)
        for box in self._cubes(padded.shape):
            made = self.network(self._on_device(padded[box]))[0].float().cpu().numpy()
            inside = tuple(slice(b.start // self.patch, b.stop // self.patch) for b in box)
            total[(slice(None), *inside)] += made
            weight[inside] += 1
        x, y, z = (n // self.patch for n in fitted.shape)
        return np.ascontiguousarray((total / weight)[:, :x, :y, :z].transpose(0, 3, 2, 1))

    def _cubes(self, shape: Sequence[int]) -> list[tuple[slice, slice, slice]]:
        """Boxes whose corners are between tokens."""
        size = self.network.size
        axes = [sorted({s // self.patch * self.patch for s in tile_starts(n, size, _OVERLAP)}) for n in shape]
        return [
            (slice(z, z + size), slice(y, y + size), slice(x, x + size))
            for z in axes[0] for y in axes[1] for x in axes[2]
        ]  # fmt: skip


def _multiple(shape: Sequence[int], stride: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = (max(1, round(n / int(s))) * int(s) for n, s in zip(shape, stride, strict=True))
    return (z, y, x)
