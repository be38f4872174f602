"""From a volume to the network's input, and the exact way back to the volume's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import OWN, PreparationSpec
from LiverMRISegLib.preparation.anatomy_space import to_anatomy_space, to_unit_range
from LiverMRISegLib.preparation.interpolation import resize_cubic, resize_linear, resize_mean
from LiverMRISegLib.preparation.normalisation import normalise
from LiverMRISegLib.preparation.plausible_grid import check_plausible_grid
from LiverMRISegLib.volume import AxisChange, Geometry, Volume


@dataclass(frozen=True)
class Prepared:
    """`image` float32 [Z, Y, X], normalised, and the way back: `change` made the input's axes those of `oriented`.

    `shape` and `nearest_axis` are arguments of `label_grid.labels_on_grid`.
    """

    image: np.ndarray
    grid: Geometry
    oriented: Geometry
    change: AxisChange
    nearest_axis: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the grid that labels are made on."""
        return self.oriented.shape

    def place(self, labels: np.ndarray) -> np.ndarray:
        """Labels [Z, Y, X] on the input's own grid, on the grid of `shape`: the inverse of `restore`."""
        return self.change.apply(labels)

    def restore(self, labels: np.ndarray) -> np.ndarray:
        """Labels [Z, Y, X] on the oriented grid, on the input's own grid; nothing is interpolated."""
        return np.ascontiguousarray(self.change.inverse.apply(labels))


def prepare(volume: Volume, spec: PreparationSpec, given: str = "intensity") -> Prepared:
    """Orient, resample and normalise `volume` as `spec` says; `volume` is left as it is.

    `given` is the space of the volume: one in anatomy space already (a translation) is not turned into it again.
    """
    if spec.scheme != OWN:
        raise UsageError(
            f"{volume.name}: a model of scheme '{spec.scheme}' can segment, but cannot prepare data for other models"
        )
    code = volume.geometry.orientation
    change = AxisChange.between(code, spec.orientation or code)
    oriented = change.apply_to_geometry(volume.geometry)
    z, y, x = spec.spacing
    grid = oriented.with_spacing((x, y, z))
    check_plausible_grid(volume.name, volume.geometry, grid.shape)
    image = change.apply(volume.array)
    resized = _resized(image, grid.shape, spec)
    if spec.space != given:
        if given != "intensity":
            wanted = "turned back into intensities" if spec.space == "intensity" else f"turned into {spec.space}"
            raise UsageError(f"{volume.name}: is in {given} space and cannot be {wanted}; set space to {given}")
        resized = to_anatomy_space(to_unit_range(resized), spec.space)
    return Prepared(normalise(resized, spec), grid, oriented, change)


def _resized(image: np.ndarray, shape: tuple[int, int, int], spec: PreparationSpec) -> np.ndarray:
    if image.shape == shape:
        return image.astype(np.float32)
    if spec.image_order == 3:
        return resize_cubic(image, shape)
    return resize_mean(image, shape) if spec.antialias else resize_linear(image, shape)
