"""nnU-Net's way from a volume to the network's input and back; in its order, which differs from ours.

The axes are put in the plan's order, the image is cut to the box of what is not 0, normalised, and only then resampled
(methods.md 10.2). Where a grid is anisotropic, nothing is interpolated between slices: the nearest one is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.inference.interpolation import cubic_weights, linear_weights, nearest_weights, resize_by
from LiverMRISegLib.inference.normalisation import normalise
from LiverMRISegLib.inference.preparation import Prepared, prepare
from LiverMRISegLib.inference.tiling import Box
from LiverMRISegLib.models.specification import NNUNET, PreparationSpec
from LiverMRISegLib.volume import AxisChange, Volume

_ANISOTROPIC = 3.0


@dataclass(frozen=True)
class NnUNetPrepared:
    """`image` float32 [Z, Y, X] of the plan's axes, normalised, and the way back.

    `box` is the image's place in the volume of `full` voxels, `nearest_axis` as of `assembly.labels_on_grid`.
    """

    image: np.ndarray
    box: Box
    full: tuple[int, ...]
    nearest_axis: int | None
    transpose: tuple[int, ...]
    change: AxisChange

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the grid that labels are made on."""
        z, y, x = (part.stop - part.start for part in self.box)
        return (z, y, x)

    def restore(self, labels: np.ndarray) -> np.ndarray:
        """Labels [Z, Y, X] of `shape` on the input's own grid; background beyond the box."""
        whole = np.zeros(self.full, labels.dtype)
        whole[self.box] = labels
        return np.ascontiguousarray(self.change.inverse.apply(whole.transpose(np.argsort(self.transpose))))


def prepare_by_scheme(volume: Volume, spec: PreparationSpec) -> Prepared | NnUNetPrepared:
    """Prepare `volume` as the `scheme` of a model's preparation says."""
    return prepare_as_nnunet(volume, spec) if spec.scheme == NNUNET else prepare(volume, spec)


def prepare_as_nnunet(volume: Volume, spec: PreparationSpec) -> NnUNetPrepared:
    """Order the axes, cut, normalise and resample `volume` as `spec` says; `volume` is left as it is."""
    code = volume.geometry.orientation
    change = AxisChange.between(code, spec.orientation or code)
    ordered = change.apply(volume.array).transpose(spec.transpose)
    grid = change.apply_to_geometry(volume.geometry)
    spacing = [grid.spacing[::-1][axis] for axis in spec.transpose]
    box = nonzero_box(ordered)
    image = normalised(ordered[box], spec)
    shape = [max(1, round(s / t * n)) for s, t, n in zip(spacing, spec.spacing, image.shape, strict=True)]
    axis = lowest_resolution_axis(spacing, spec.spacing)
    resized = resize_as_nnunet(image, shape, axis, spec.image_order)
    # The way back asks the same of the two spacings in the other order.
    axis_back = lowest_resolution_axis(spec.spacing, spacing)
    return NnUNetPrepared(resized, box, ordered.shape, axis_back, spec.transpose, change)


def nonzero_box(image: np.ndarray) -> Box:
    """The box [Z, Y, X] around all that is not 0; the whole image if everything is."""
    mask = image != 0
    parts = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        parts.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, image.shape[axis]))
    return (parts[0], parts[1], parts[2])


def normalised(image: np.ndarray, spec: PreparationSpec) -> np.ndarray:
    """`image` [Z, Y, X] normalised, float32; of "z-score-nonzero" holes in what is not 0 belong to it."""
    if spec.normalisation != "z-score-nonzero":
        return normalise(image, spec)
    import SimpleITK as sitk

    mask = sitk.GetImageFromArray((image != 0).astype(np.uint8))
    inside = sitk.GetArrayFromImage(sitk.BinaryFillhole(mask)).astype(bool)
    result = image.astype(np.float32)
    known = result[inside]
    if known.size:
        mean, deviation = float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64))
        result[inside] = (known - mean) / max(deviation, 1e-8)
    return result


def lowest_resolution_axis(first: Sequence[float], second: Sequence[float]) -> int | None:
    """The axis of the thickest voxels where a spacing is anisotropic, the first if both are; else None.

    None too where two axes share the largest spacing.
    """
    for spacing in (first, second):
        if max(spacing) / min(spacing) > _ANISOTROPIC:
            largest = [axis for axis, size in enumerate(spacing) if size == max(spacing)]
            return largest[0] if len(largest) == 1 else None
    return None


def resize_as_nnunet(image: np.ndarray, shape: Sequence[int], nearest_axis: int | None, order: int) -> np.ndarray:
    """`image` [Z, Y, X] on a grid of `shape` over the same extent; float32.

    Splines of `order` 1 or 3 that stay within the range of the image's values, or, with a `nearest_axis`, within that
    of each slice across this axis.
    """
    if image.shape == tuple(shape):
        return image
    spline = cubic_weights if order == 3 else linear_weights
    sizes = list(zip(image.shape, shape, strict=True))
    across = [np.eye(s, dtype=np.float32) if a == nearest_axis else spline(s, t) for a, (s, t) in enumerate(sizes)]
    resized = resize_by(image, across)
    axes = tuple(axis for axis in range(3) if axis != nearest_axis)
    lowest, highest = image.min(axis=axes, keepdims=True), image.max(axis=axes, keepdims=True)
    np.clip(resized, lowest, highest, out=resized)
    if nearest_axis is None:
        return resized
    chosen = nearest_weights(*sizes[nearest_axis]).argmax(axis=1)
    return np.ascontiguousarray(resized.take(chosen, axis=nearest_axis))
