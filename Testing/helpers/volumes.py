"""Small volumes in every orientation."""

from __future__ import annotations

import itertools

import numpy as np

from LiverMRISegLib.volume import Geometry, Volume


def all_directions() -> list[np.ndarray]:
    """The 48 directions whose axes are parallel to the patient's."""
    turned = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
                matrix[row, column] = sign
            turned.append(matrix)
    return turned


def oblique_directions() -> list[np.ndarray]:
    """Some proper rotations, none near an axis."""
    found = []
    for seed in range(4):
        q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        found.append(q)
    return found


def as_rows(matrix: np.ndarray):
    return tuple(tuple(float(v) for v in row) for row in matrix)


def make_volume(direction: np.ndarray | None = None, size=(20, 16, 12), spacing=(2.0, 2.5, 4.0), seed=0) -> Volume:
    """A smooth random image of small positive numbers."""
    matrix = np.eye(3) if direction is None else direction
    geometry = Geometry(size, spacing, (11.0, -7.0, 31.0), as_rows(matrix))
    array = np.random.default_rng(seed).uniform(10, 400, geometry.shape).astype(np.float32)
    return Volume(array, geometry, "made")
