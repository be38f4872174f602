"""Draws a patient's structures one over the other onto points: a map of materials and a label map."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.phantom.contrast import Material
from LiverMRISegLib.phantom.shapes import Points, bounding_indices
from LiverMRISegLib.phantom.structures import Enclosure, Patient, Structure
from LiverMRISegLib.volume import Vector

_DIAPHRAGM_MM = 2.5
_RIB_DISTANCE = 27.0


def draw(patient: Patient, points: Points, labels: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    """Materials (`Material`) and labels (values of `labels`) at the points, both uint8 of the points' shape."""
    materials = np.full(points[0].shape, Material.VISCERAL_FAT, np.uint8)
    found = np.zeros(points[0].shape, np.uint8)
    # A twentieth of the points is enough to find the box of a structure.
    steps = tuple(max(1, n // 40) for n in points[0].shape)
    sparse = tuple(p[tuple(slice(None, None, s) for s in steps)] for p in points)
    canvas = _Canvas(points, (sparse[0], sparse[1], sparse[2]), steps, materials, found, labels)
    for structure in patient.abdominal:
        canvas.add(structure)
    canvas.add_diaphragm(patient.enclosure)
    for structure in patient.axial:
        canvas.add(structure)
    canvas.add_wall(patient.enclosure)
    return materials, found


class _Canvas:
    def __init__(
        self, points: Points, sparse: Points, steps: tuple[int, ...], materials: np.ndarray, found: np.ndarray,
        labels: LabelSet,
    ) -> None:  # fmt: skip
        self.points = points
        self.sparse = sparse
        self.steps = steps
        self.materials = materials
        self.found = found
        self.labels = labels

    def add(self, structure: Structure) -> None:
        """Draw a structure and its rim of fat over what is there."""
        box = self._box(structure)
        if box is None:
            return
        points = (self.points[0][box], self.points[1][box], self.points[2][box])
        materials, found = self.materials[box], self.found[box]
        distance = structure.shape.distance(points)
        if structure.inside is not None:
            for fill in structure.fills:
                materials[(distance < -fill.depth) & (materials == structure.inside)] = fill.material
            return
        if structure.rim:
            rim = distance < structure.rim
            materials[rim], found[rim] = Material.VISCERAL_FAT, 0
        found[distance < 0] = self.labels.value_of(structure.organ) if structure.organ else 0
        for fill in structure.fills:
            within = distance < -fill.depth
            if np.isfinite(fill.above):
                within &= points[1] < fill.above
            materials[within] = fill.material

    def _box(self, structure: Structure) -> tuple[slice, ...] | None:
        coarse = bounding_indices(self.sparse, structure.shape.box, structure.rim + 4.0)
        if coarse is None:
            return None
        return tuple(
            slice(max(0, (s.start - 1) * step), s.stop * step) for s, step in zip(coarse, self.steps, strict=True)
        )

    def add_diaphragm(self, enclosure: Enclosure) -> None:
        """Lungs above the domes, with the muscle between."""
        x, y, z = self.points
        lowest = 20.0
        used = np.flatnonzero((z > lowest).any(axis=(1, 2)))
        if not len(used):
            return
        upper = slice(int(used[0]), None)
        above = z[upper] - _dome_height(x[upper], y[upper], enclosure)
        muscle, lung = above > 0, above > _DIAPHRAGM_MM
        self.materials[upper][muscle], self.found[upper][muscle] = Material.MUSCLE, 0
        self.materials[upper][lung] = Material.LUNG

    def add_wall(self, enclosure: Enclosure) -> None:
        """Muscles and ribs, fat, skin and the air around; the back's muscles and spine stay where they are."""
        x, y, z = self.points
        a, b = enclosure.trunk
        depths = (0.0, enclosure.skin, enclosure.skin + enclosure.fat, enclosure.skin + enclosure.fat + enclosure.wall)
        powers = [_power(x), _power(y - np.float32(enclosure.centre_y))]
        outside = [powers[0] / np.float32((a - d) ** 2.5) + powers[1] / np.float32((b - d) ** 2.5) > 1 for d in depths]
        axial = np.isin(self.materials, _STAYS) & (np.abs(x) < 72) & (y > 8)
        wall = outside[3] & ~axial
        self.materials[wall] = np.where(_in_ribs(x[wall], y[wall], z[wall]), Material.MARROW, Material.MUSCLE)
        fat = outside[2] & ~axial
        self.materials[fat] = Material.SUBCUTANEOUS_FAT
        self.materials[outside[1]], self.materials[outside[0]] = Material.SKIN, Material.AIR
        self.found[wall | fat | outside[1]] = 0


_STAYS = (
    Material.MUSCLE,
    Material.MARROW,
    Material.CORTICAL_BONE,
    Material.DISC,
    Material.SPINAL_FLUID,
    Material.SPINAL_CORD,
)


def _power(values: np.ndarray) -> np.ndarray:
    """|v| to the power of 2.5: between an ellipse and a box."""
    size = np.abs(values)
    return size * size * np.sqrt(size)


def _dome_height(x: np.ndarray, y: np.ndarray, enclosure: Enclosure) -> np.ndarray:
    """z of the diaphragm: the right and the left dome, and the central tendon between."""
    right, left = enclosure.domes
    middle = (6.0, -72.0, left[2] - 5.0)
    result, *others = (_dome(x, y, *dome) for dome in ((right, 80.0), (left, 72.0), (middle, 90.0)))
    for height in others:
        near = np.maximum(np.float32(24) - np.abs(result - height), 0) / np.float32(24)
        result = np.maximum(result, height) + near**2 * np.float32(6)
    return result


def _dome(x: np.ndarray, y: np.ndarray, peak: Vector, width: float) -> np.ndarray:
    """z of a paraboloid below its peak."""
    across, back, top = (np.float32(value) for value in peak)
    far = ((x - across) / np.float32(width)) ** 2 + ((y - back) / np.float32(92)) ** 2
    height: np.ndarray = top - np.float32(60) * far
    return height


def _in_ribs(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Ribs slope downwards to the front and end at the costal margin."""
    phase = (z - np.float32(0.5) * y) / np.float32(_RIB_DISTANCE)
    margin = np.float32(-25) + np.float32(0.65) * np.maximum(-(y + np.float32(20)), 0)
    return (phase - np.floor(phase) < 0.4) & (z > margin) & (np.abs(x) > 30)
