"""An abdominal MR study made on the fly: one invented patient in any of the MR sequences, with exact labels.

It is the sample of `livermriseg demo` and of tests. The organs are solids of known shape (`phantom.anatomy`),
seen through the deformations of patient, breathing and (for DWI) field inhomogeneity; labels and image are taken
from the same deformed solids, so both agree to the voxel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.phantom.anatomy import LABELS, make_patient
from LiverMRISegLib.phantom.contrast import fat_signal, water_signal
from LiverMRISegLib.phantom.drawing import draw
from LiverMRISegLib.phantom.shapes import Points
from LiverMRISegLib.volume import Geometry, Volume

__all__ = ["LABELS", "PhantomScan", "make_study"]

_SUBSLICES = 3
_COARSE_MM = 6.0
# The field of view in the patient's coordinates (see `phantom.anatomy`): lower corner and extent, mm.
_FIELD_LOWER = (-192.0, -180.0, -95.0)
_FIELD_EXTENT = (384.0, 288.0, 232.0)


@dataclass(frozen=True)
class Protocol:
    """How a sequence is acquired: voxels in mm, blur in voxels, noise of a signal of 1000, EPI distortion in mm."""

    in_plane: float
    slices: float
    blur: float = 0.6
    noise: float = 16.0
    distortion: float = 0.0


_DYNAMIC = Protocol(1.4, 5.0)
_PROTOCOLS: Mapping[Sequence, Protocol] = MappingProxyType({
    Sequence.T1WI: Protocol(1.4, 5.0),
    Sequence.T2WI: Protocol(1.3, 6.5, noise=20.0),
    Sequence.DWI: Protocol(2.0, 7.0, blur=1.0, noise=26.0, distortion=5.0),
    Sequence.IN_PHASE: Protocol(1.5, 6.0),
    Sequence.OUT_PHASE: Protocol(1.5, 6.0),
})  # fmt: skip


@dataclass(frozen=True)
class PhantomScan:
    """An image (int16) and its label map (uint8, values of `LABELS`) on the same grid, axial, in LPS."""

    volume: Volume
    labelmap: Volume


def make_study(
    sequences: Iterable[Sequence],
    seed: int = 0,
    *,
    in_plane_mm: float | None = None,
    slice_mm: float | None = None,
) -> dict[Sequence, PhantomScan]:
    """Scans of one patient, each in its own breath-hold.

    Args:
        sequences: which; the scan of a sequence does not depend on the others asked for.
        seed: which patient.
        in_plane_mm: voxel size within a slice instead of the sequence's own.
        slice_mm: thickness of the slices instead of the sequence's own.
    """
    return {sequence: _scan(sequence, seed, in_plane_mm, slice_mm) for sequence in sequences}


def _scan(sequence: Sequence, seed: int, in_plane_mm: float | None, slice_mm: float | None) -> PhantomScan:
    protocol = _PROTOCOLS.get(sequence, _DYNAMIC)
    patient_random = np.random.default_rng([seed, 0])
    random = np.random.default_rng([seed, 1 + list(Sequence).index(sequence)])
    geometry = _grid(in_plane_mm or protocol.in_plane, slice_mm or protocol.slices, patient_random)
    patient = make_patient(patient_random)
    offset = np.array(geometry.origin) - _first_centre(geometry)
    points = _deformed_points(geometry, offset, patient_random, random, protocol.distortion)
    materials, labels = draw(patient, points, LABELS)
    signal = _signal(materials, sequence)
    del points, materials
    name = f"phantom-{seed}-{sequence.value}"
    image = _acquire(signal, geometry, protocol, random)
    labelmap = np.ascontiguousarray(labels[_SUBSLICES // 2 :: _SUBSLICES])
    facts = {"modality": "MR", "sequence": sequence.value}
    return PhantomScan(Volume(image, geometry, name, facts), Volume(labelmap, geometry, f"{name} labels"))


def _grid(in_plane: float, thickness: float, random: np.random.Generator) -> Geometry:
    """Axial slices from feet to head; where the scanner's zero is in the patient differs from patient to patient."""
    spacing = (in_plane, in_plane, thickness)
    size = tuple(max(1, round(e / s)) for e, s in zip(_FIELD_EXTENT, spacing, strict=True))
    grid = Geometry((size[0], size[1], size[2]), spacing)
    offset = random.uniform(-30, 30, 3).round(1)
    first = _first_centre(grid) + offset
    return Geometry(grid.size, grid.spacing, (float(first[0]), float(first[1]), float(first[2])))


def _first_centre(geometry: Geometry) -> np.ndarray:
    """The centre of the first voxel in the patient's coordinates."""
    centre = np.array(_FIELD_LOWER) + np.array(_FIELD_EXTENT) / 2
    return centre - (np.array(geometry.size) - 1) * np.array(geometry.spacing) / 2


def _deformed_points(
    geometry: Geometry, offset: np.ndarray, patient: np.random.Generator, scan: np.random.Generator, distortion: float
) -> Points:
    """Where in the undeformed patient each sub-slice's voxel lies: three float32 arrays [Z * 3, Y, X].

    Deformations are smooth, so they are computed on a coarse grid and interpolated linearly.
    """
    shape = (geometry.shape[0] * _SUBSLICES, *geometry.shape[1:])
    spacing = (geometry.spacing[2] / _SUBSLICES, geometry.spacing[1], geometry.spacing[0])
    first = (np.array(geometry.origin) - offset)[::-1].copy()
    first[0] -= spacing[0] * (_SUBSLICES - 1) / 2
    axes = [
        np.linspace(0, (n - 1) * s, max(2, int(n * s / _COARSE_MM))) + o
        for n, s, o in zip(shape, spacing, first, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    coarse = np.stack([x, y, z])
    coarse += scan.uniform(-6, 6, 3)[:, None, None, None]
    coarse = coarse - _breathing(coarse, float(scan.normal(0, 7)))
    if distortion:
        coarse[1] += _distortion(coarse, distortion, scan)
    coarse = coarse + _waves(coarse, 4.0, (110, 200), patient, 5) + _waves(coarse, 1.0, (34, 60), patient, 6)
    weights = [_interpolation(n, len(axis)) for n, axis in zip(shape, axes, strict=True)]
    x, y, z = (_upsample(component.astype(np.float32), weights) for component in coarse)
    return x, y, z


def _breathing(points: np.ndarray, depth: float) -> np.ndarray:
    """Motion of the organs from a middle position, `depth` mm downwards below the domes; the spine rests."""
    _, y, z = points
    free = 1 / (1 + np.exp((y - 22) / 8)) * (1 / (1 + np.exp(-(z + 40) / 30)))
    return np.stack([np.zeros_like(z), -0.25 * depth * free * (y < -40) * (-40 - y) / 80, -depth * free])


def _distortion(points: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Shift along the phase-encoding direction (y), largest below the lungs and near bowel gas."""
    x, y, z = points
    below_lung = np.exp(-(((z - 108) / 26) ** 2)) * np.exp(-(((np.abs(x) - 70) / 50) ** 2))
    near_gas = np.exp(-(((x - 50) / 45) ** 2 + ((y + 90) / 35) ** 2 + ((z - 50) / 50) ** 2))
    shift: np.ndarray = amount * (below_lung - 0.8 * near_gas) + _waves(points, 0.4 * amount, (90, 160), random, 4)[1]
    return shift


def _waves(
    points: np.ndarray, amplitude: float, lengths: tuple[float, float], random: np.random.Generator, count: int
) -> np.ndarray:
    """A smooth random displacement [3, ...] of about `amplitude` mm: plane waves with `lengths` in mm."""
    result = np.zeros_like(points)
    for _ in range(count):
        direction = random.normal(size=3)
        direction *= 2 * np.pi / (random.uniform(*lengths) * np.linalg.norm(direction))
        phase = np.tensordot(direction, points, axes=1) + random.uniform(0, 2 * np.pi)
        result += random.normal(0, amplitude / np.sqrt(count), 3)[:, None, None, None] * np.sin(phase)
    return result


def _interpolation(fine: int, coarse: int) -> np.ndarray:
    """Matrix [fine, coarse] of linear interpolation between grids with the same ends."""
    position = np.linspace(0, coarse - 1, fine)
    lower = np.minimum(position.astype(int), coarse - 2)
    matrix = np.zeros((fine, coarse), np.float32)
    matrix[np.arange(fine), lower] = 1 - (position - lower)
    matrix[np.arange(fine), lower + 1] = position - lower
    return matrix


def _upsample(coarse: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    in_plane = np.einsum("zyx,bx->zyb", coarse, weights[2])
    in_plane = np.matmul(weights[1], in_plane)
    return np.tensordot(weights[0], in_plane, axes=1)


def _signal(materials: np.ndarray, sequence: Sequence) -> np.ndarray:
    """Signal averaged over each slice's thickness, float32 [Z, Y, X].

    Where water and fat share a voxel, out-of-phase signals cancel: the dark rims around the organs.
    """
    water = _slice_mean(water_signal(sequence)[materials])
    fat_values = fat_signal(sequence)
    if fat_values is None:
        return water
    fat = _slice_mean(fat_values[materials])
    return water + fat if sequence is Sequence.IN_PHASE else np.abs(water - fat)


def _slice_mean(fine: np.ndarray) -> np.ndarray:
    mean: np.ndarray = fine.reshape(-1, _SUBSLICES, *fine.shape[1:]).mean(axis=1)
    return mean


def _acquire(signal: np.ndarray, geometry: Geometry, protocol: Protocol, random: np.random.Generator) -> np.ndarray:
    """Texture, blur, uneven coil sensitivity and Rician noise; int16."""
    texture = 0.045 * _smooth_noise(signal.shape, 0.9, random) + 0.05 * _smooth_noise(signal.shape, 3.5, random)
    image = _blur(signal * (1 + texture), protocol.blur) * _sensitivity(geometry, random)
    real, imaginary = (random.standard_normal(signal.shape, np.float32) * np.float32(protocol.noise) for _ in range(2))
    return np.clip(np.hypot(image + real, imaginary), 0, 4095).astype(np.int16)


def _smooth_noise(shape: tuple[int, ...], sigma: float, random: np.random.Generator) -> np.ndarray:
    """Noise of mean 0 and variance 1, smooth within the slices over `sigma` voxels."""
    noise = _blur(random.standard_normal(shape, np.float32), sigma)
    smooth: np.ndarray = noise / noise.std()
    return smooth


def _blur(array: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur within the slices, `sigma` in voxels."""
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        width = [(0, 0)] * 3
        width[axis] = (reach, reach)
        padded = np.pad(array, width, mode="edge")
        n = array.shape[axis]
        parts = (np.float32(k) * padded.take(range(i, i + n), axis) for i, k in enumerate(kernel))
        array = sum(parts, start=np.zeros_like(array))
    return array


def _sensitivity(geometry: Geometry, random: np.random.Generator) -> np.ndarray:
    """The receive field: brighter near the surface coils, with a smooth random part; mean about 1."""
    grids = [np.linspace(-1, 1, n, dtype=np.float32) for n in geometry.shape]
    z, y, x = np.meshgrid(*grids, indexing="ij", sparse=True)
    a, b, c, d = (float(v) for v in random.normal(0, 0.07, 4))
    return np.exp(np.float32(a) * x + np.float32(b) * y + np.float32(c) * z + np.float32(d) * x * y
                  + np.float32(0.16) * (x**2 + 1.2 * y**2 - 0.7) - np.float32(0.1) * z**2)  # fmt: skip
