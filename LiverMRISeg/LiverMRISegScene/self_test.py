"""Segments a drawn phantom: run by Slicer's "Reload and Test" and by the tests outside Slicer."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegScene.installation import missing_requirements
from LiverMRISegScene.sample_data import SAMPLES, add_sample

_LEAST_DICE = 0.8


def check_packages() -> None:
    """Raise unittest.SkipTest if required packages are missing. A test must not install any."""
    missing = missing_requirements()
    if missing:
        raise unittest.SkipTest(
            f"these Python packages are not installed: {', '.join(missing)}; click Install requirements in LiverMRISeg"
        )


def check_phantom(logic: Any, scene: Any) -> str:
    """Segment a drawn T1 volume with the default model; returns the result in words.

    Raises:
        LiverMRISegError: the liver was not found where it was drawn.
    """
    import slicer

    from LiverMRISegLib.phantom.study import LABELS

    node, scan = add_sample(scene, next(iter(SAMPLES)))
    segmentation = logic.segment(node)
    liver = next(value for value, organ in LABELS.items() if organ.name == "liver")
    mask = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation("liver", mask)
    found = _on_grid(mask, scan.labelmap.array.shape)
    truth = scan.labelmap.array == liver
    dice = 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())
    if dice < _LEAST_DICE:
        raise LiverMRISegError(f"self test: the Dice of the phantom's liver is {dice:.2f}, less than {_LEAST_DICE}")
    return f"Self test: the liver of the phantom was found with Dice {dice:.2f}."


def _on_grid(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A segment's label map, whose extent is a box of the volume, as booleans [Z, Y, X] on the whole volume."""
    from vtk.util.numpy_support import vtk_to_numpy

    x0, x1, y0, y1, z0, z1 = mask.GetExtent()
    found = np.zeros(shape, bool)
    voxels = vtk_to_numpy(mask.GetPointData().GetScalars()).reshape(z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1)
    found[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1] = voxels > 0
    return found
