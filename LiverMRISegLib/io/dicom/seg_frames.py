"""Where the frames of a DICOM SEG are, and which frames of the image they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from LiverMRISegLib.volume import Geometry

# Differences below are rounding of the text in the files; readers of DICOM SEG allow for it (mm, cosine).
_EXACT_MM, _EXACT_COSINE = 1e-3, 1e-4
_SAME_IN_ALL = ("PixelMeasuresSequence", "PlaneOrientationSequence")


def put_on_grid(segmentation: Any, geometry: Geometry) -> None:
    """Give the frames the places of the mask's grid, where those of the images are rounded.

    Positions rounded to 1 mm are not evenly spaced, and readers of DICOM SEG then find no volume.
    """
    groups, shared = segmentation.PerFrameFunctionalGroupsSequence, segmentation.SharedFunctionalGroupsSequence[0]
    direction, origin = np.array(geometry.direction), np.array(geometry.origin)
    written = np.array([group.PlanePositionSequence[0].ImagePositionPatient for group in groups], float)
    slices = np.round((written - origin) @ direction[:, 2] / geometry.spacing[2])
    places = origin + slices[:, None] * geometry.spacing[2] * direction[:, 2]
    axes = [*direction[:, 0], *direction[:, 1]]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    if np.abs(places - written).max() <= _EXACT_MM and np.abs(orientation - axes).max() <= _EXACT_COSINE:
        return
    for group, place in zip(groups, places, strict=True):
        group.PlanePositionSequence[0].ImagePositionPatient = _texts(place)
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = _texts(axes)
    measures = shared.PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        measures.SpacingBetweenSlices = _texts([geometry.spacing[2]])[0]


def keep_frames(image: Any, order: Sequence[int]) -> None:
    """Leave an Enhanced image the frames of `order`, counted from 0; what is the same in all becomes shared.

    Some scanners give directions and pixel spacing frame by frame, where highdicom does not look for them.
    """
    groups = [image.PerFrameFunctionalGroupsSequence[frame] for frame in order]
    image.PerFrameFunctionalGroupsSequence, image.NumberOfFrames = groups, len(groups)
    if not image.get("SharedFunctionalGroupsSequence"):
        image.SharedFunctionalGroupsSequence = [type(groups[0])()]
    shared = image.SharedFunctionalGroupsSequence[0]
    for keyword in _SAME_IN_ALL:  # which the reader found to be so
        if not shared.get(keyword) and keyword in groups[0]:
            setattr(shared, keyword, groups[0][keyword].value)


def refer_to_frames(segmentation: Any, order: Sequence[int]) -> None:
    """Make the references to frames 1, 2, ... of an image those to the frames of `order`, counted from 0."""
    images = {  # frames of several segments may share one reference
        id(image): image
        for group in segmentation.PerFrameFunctionalGroupsSequence
        for derivation in group.get("DerivationImageSequence", ())
        for image in derivation.SourceImageSequence
    }
    for image in images.values():
        frames = np.atleast_1d(np.array(image.ReferencedFrameNumber, int))
        image.ReferencedFrameNumber = [order[frame - 1] + 1 for frame in frames]


def _texts(values: Sequence[float] | np.ndarray) -> list[str]:
    """As decimal strings of at most 16 characters."""
    return [f"{float(value):.9g}" for value in values]
