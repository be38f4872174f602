"""Pictures of a segmentation for people: three planes as a radiologist expects them, outlines in the organs' colours.

The patient's right is on the picture's left, the front up (axial) or left (sagittal), the head up.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Organ
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.volume import AxisChange, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_PX = 1500
_DPI = 100
_GAP_PX = 8
_LEGEND_ROW_PX = 30
_LEGEND_COLUMNS = 7
_DARK = "#101418"


@dataclass(frozen=True)
class Plane:
    """A slice ready to be shown: `image` and `labels` [row, column], mm per row and column, what its sides are."""

    title: str
    image: np.ndarray
    labels: np.ndarray
    row_mm: float
    column_mm: float
    left: str
    right: str

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width in mm."""
        return self.image.shape[0] * self.row_mm, self.image.shape[1] * self.column_mm


def three_planes(volume: Volume, labelmap: np.ndarray) -> tuple[Plane, Plane, Plane]:
    """Axial, coronal and sagittal slice, each where most of the label map lies; the middle ones if it is empty.

    Args:
        volume: an image of any orientation; oblique ones are shown along their nearest axes.
        labelmap: [Z, Y, X] on the volume's grid.

    Raises:
        UsageError: the label map has another shape than the volume.
    """
    if labelmap.shape != volume.array.shape:
        raise UsageError(f"{volume.name}: a label map of shape {labelmap.shape} does not lie on its grid")
    change = AxisChange.between(volume.geometry.orientation, "LPS")
    image, labels = change.apply(volume.array), change.apply(labelmap)
    x_mm, y_mm, z_mm = change.apply_to_geometry(volume.geometry).spacing
    z, y, x = (_fullest(labels, axis) for axis in range(3))
    # Slices run upwards in an LPS array and rows downwards in a picture.
    return (
        Plane("axial", image[z], labels[z], y_mm, x_mm, "R", "L"),
        Plane("coronal", image[::-1, y], labels[::-1, y], z_mm, x_mm, "R", "L"),
        Plane("sagittal", image[::-1, :, x], labels[::-1, :, x], z_mm, y_mm, "A", "P"),
    )


def three_planes_png(volume: Volume, labelmap: np.ndarray, labels: LabelSet) -> bytes:
    """A PNG of the three planes side by side on one scale, with outlines and a legend of the organs found.

    Args:
        volume: an image of any orientation.
        labelmap: [Z, Y, X] on the volume's grid, with the values of `labels`.
        labels: what the values mean; others are not drawn.

    Raises:
        UsageError: the label map has another shape than the volume.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    planes = three_planes(volume, labelmap)
    present = np.flatnonzero(np.bincount(labelmap.ravel())) if labelmap.size else np.array([], int)
    shown = {value: organ for value, organ in labels.items() if value in present}
    figure = _draw(planes, shown, _window(volume.array))
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return png.getvalue()


def _fullest(labels: np.ndarray, axis: int) -> int:
    areas = np.count_nonzero(labels, axis=tuple(a for a in range(3) if a != axis))
    return int(np.argmax(areas)) if areas.any() else labels.shape[axis] // 2


def _window(array: np.ndarray) -> tuple[float, float]:
    """Grey values shown as black and white; a few very bright voxels (fluid, fat) do not darken the rest."""
    sample = array.reshape(-1)[:: max(1, array.size // 500_000)].astype(np.float32)
    lower, upper = np.percentile(sample[np.isfinite(sample)], (1.0, 99.5))
    return float(lower), float(max(upper, lower + 1e-6))


def _draw(planes: tuple[Plane, ...], shown: Mapping[int, Organ], window: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    scale = (_WIDTH_PX - _GAP_PX * (len(planes) + 1)) / sum(plane.size_mm[1] for plane in planes)
    tallest = max(plane.size_mm[0] for plane in planes) * scale
    legend = _LEGEND_ROW_PX * (-(-len(shown) // _LEGEND_COLUMNS))
    height = tallest + legend + 2 * _GAP_PX
    figure = Figure(figsize=(_WIDTH_PX / _DPI, height / _DPI), dpi=_DPI, facecolor=_DARK)
    left = float(_GAP_PX)
    for plane in planes:
        high, wide = (size * scale for size in plane.size_mm)
        bottom = legend + _GAP_PX + (tallest - high) / 2
        axes = figure.add_axes((left / _WIDTH_PX, bottom / height, wide / _WIDTH_PX, high / height))
        _draw_plane(axes, plane, shown, window)
        left += wide + _GAP_PX
    _draw_legend(figure, shown)
    return figure


def _draw_plane(axes: Axes, plane: Plane, shown: Mapping[int, Organ], window: tuple[float, float]) -> None:
    axes.imshow(plane.image, cmap="gray", vmin=window[0], vmax=window[1], aspect="auto", interpolation="bilinear")
    for value, organ in shown.items():
        mask = plane.labels == value
        if mask.any() and min(mask.shape) > 1:
            axes.contour(mask, levels=[0.5], colors=[_rgb(organ)], linewidths=1.4)
    axes.set_axis_off()
    style = {"color": "#d8dee6", "fontsize": 10, "transform": axes.transAxes}
    axes.text(0.01, 0.5, plane.left, ha="left", va="center", **style)
    axes.text(0.99, 0.5, plane.right, ha="right", va="center", **style)
    axes.text(0.01, 0.99, plane.title, ha="left", va="top", **style)


def _draw_legend(figure: Figure, shown: Mapping[int, Organ]) -> None:
    from matplotlib.lines import Line2D

    if not shown:
        return
    lines = [Line2D([], [], color=_rgb(organ), linewidth=3, label=organ.title) for organ in shown.values()]
    figure.legend(
        handles=lines, loc="lower center", ncols=min(len(lines), _LEGEND_COLUMNS), frameon=False,
        labelcolor="#e6eaf0", fontsize=10, handlelength=1.2, columnspacing=1.6,
    )  # fmt: skip


def _rgb(organ: Organ) -> tuple[float, float, float]:
    red, green, blue = organ.color
    return (red / 255, green / 255, blue / 255)
