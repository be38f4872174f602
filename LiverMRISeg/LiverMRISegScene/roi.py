"""A markups ROI of the scene as the core's `ChosenBox`: its exact box, however it is turned."""

from __future__ import annotations

from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.volumes import LPS_FROM_RAS, matrix_array


def chosen_box(roi: Any) -> ChosenBox:
    """The box of a vtkMRMLMarkupsROINode in the world, with linear parent transforms applied.

    Raises:
        InputError: it has no size yet, or its parent transform is not linear.
    """
    parent = roi.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        text = _("{roi}: its transform '{transform}' is not linear; remove the ROI from it")
        raise InputError(text.format(roi=roi.GetName(), transform=parent.GetName()))
    size = np.array(roi.GetSize())
    if not (size > 0).all():
        raise InputError(_("{roi}: has no size yet; draw it in the slice views").format(roi=roi.GetName()))
    matrix = LPS_FROM_RAS @ matrix_array(roi.GetObjectToWorldMatrix())
    half_edges = (matrix[:3, :3] * (size / 2)).T
    rows = tuple(tuple(float(v) for v in row) for row in half_edges)
    return ChosenBox(tuple(float(v) for v in matrix[:3, 3]), rows)  # type: ignore[arg-type]
