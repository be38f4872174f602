"""nnU-Net's way from a volume to the network's input and back; in its order, which differs from ours.

The axes are put in the plan's order, the image is cut to the box of what is not 0, normalised, and only then resampled
(methods.md 10.2); nnU-Net v1 resampled before it normalised. Where a grid is anisotropic, nothing is interpolated
between slices: the nearest one is taken.
Several images of a case are cut to one box, around what is not 0 in any of them; the mask inside is common too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from LiverMRISegLib.models.package.specification import ChannelSpec, PreparationSpec
from LiverMRISegLib.preparation.interpolation import cubic_weights, linear_weights, nearest_weights, resize_by
from LiverMRISegLib.preparation.normalisation import LEAST_SPREAD, normalise
from LiverMRISegLib.preparation.plausible_grid import check_plausible_grid
from LiverMRISegLib.volume import AxisChange, Box, Volume

_ANISOTROPIC = 3.0
_INSIDE = 0.5  # of a voxel that v1 counts as inside the mask


@dataclass(frozen=True)
class NnUNetPrepared:
    """`image` float32 [Z, Y, X], of several channels [C, Z, Y, X], of the plan's axes, normalised, and the way back.

    `box` is the image's place in the volume of `full` voxels, `nearest_axis` as for `label_grid.labels_on_grid`.
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

    def place(self, labels: np.ndarray) -> np.ndarray:
        """Labels [Z, Y, X] on the input's own grid, on the grid of `shape`: the inverse of `restore`."""
        return self.change.apply(labels).transpose(self.transpose)[self.box]

    def restore(self, labels: np.ndarray) -> np.ndarray:
        """Labels [Z, Y, X] of `shape` on the input's own grid; background outside the box."""
        whole = np.zeros(self.full, labels.dtype)
        whole[self.box] = labels
        return np.ascontiguousarray(self.change.inverse.apply(whole.transpose(np.argsort(self.transpose))))


def prepare_as_nnunet(volume: Volume, spec: PreparationSpec, further: Sequence[Volume] = ()) -> NnUNetPrepared:
    """Order the axes, cut, normalise and resample `volume` as `spec` says; it is left as it is.

    `further`: the other images of its case, of those of `spec.images`, on the grid of `volume`.
    """
    code = volume.geometry.orientation
    change = AxisChange.between(code, spec.orientation or code)
    ordered = [change.apply(image.array).transpose(spec.transpose) for image in (volume, *further)]
    grid = change.apply_to_geometry(volume.geometry)
    spacing = [grid.spacing[::-1][axis] for axis in spec.transpose]
    known = reduce(np.logical_or, (image != 0 for image in ordered))
    box = nonzero_box(known)
    inside = known[box]
    shape = [max(1, round(s / t * n)) for s, t, n in zip(spacing, spec.spacing, inside.shape, strict=True)]
    check_plausible_grid(volume.name, volume.geometry, shape)
    if any(how.normalisation == "z-score-nonzero" for how in spec.images):
        inside = filled(inside)
    axis = lowest_resolution_axis(spacing, spec.spacing)
    cut = [image[box] for image in ordered]
    if spec.resample_first:
        cut = [resize_as_nnunet(image.astype(np.float32), shape, axis, spec.image_order) for image in cut]
        inside = resize_as_nnunet(inside.astype(np.float32), shape, axis, 1) >= _INSIDE
    resized = [normalised(image, how, inside) for image, how in zip(cut, spec.images, strict=True)]
    if not spec.resample_first:
        resized = [resize_as_nnunet(image, shape, axis, spec.image_order) for image in resized]
    # The way back asks the same of the two spacings in the other order.
    axis_back = lowest_resolution_axis(spec.spacing, spacing)
    image = resized[0] if len(resized) == 1 else np.stack(resized)
    return NnUNetPrepared(image, box, known.shape, axis_back, spec.transpose, change)


def nonzero_box(image: np.ndarray) -> Box:
    """The box [Z, Y, X] around all that is not 0; the whole image if everything is."""
    mask = image.astype(bool, copy=False)
    parts = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        parts.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, image.shape[axis]))
    return (parts[0], parts[1], parts[2])


def filled(mask: np.ndarray) -> np.ndarray:
    """`mask` bool [Z, Y, X] with its holes."""
    import SimpleITK as sitk

    whole: np.ndarray = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8))))
    return whole.astype(bool)


def normalised(image: np.ndarray, how: PreparationSpec | ChannelSpec, inside: np.ndarray) -> np.ndarray:
    """`image` [Z, Y, X] normalised, float32; "z-score-nonzero" over the voxels of `inside`, a mask without holes."""
    if how.normalisation != "z-score-nonzero":
        return normalise(image, how)
    result = image.astype(np.float32)
    known = result[inside]
    if known.size:
        mean, deviation = float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64))
        result[inside] = (known - mean) / max(deviation, LEAST_SPREAD)
    result[~inside] = 0  # it is, unless the image was resampled before
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
