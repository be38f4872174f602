"""Pictures of a segmentation: three planes with outlines, in radiological display (the patient's right at the left)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.volume import Volume, reorient

_PLANES = ("axial", "coronal", "sagittal")
_BACKGROUND = "#111111"
_WIDEST = 3.0
_SHEET_WIDTH = 900


@dataclass(frozen=True)
class ShownSlice:
    """A slice as it is shown: `image` and `labels` [rows, columns], rows downwards, and a pixel's height / width."""

    name: str
    image: np.ndarray
    labels: np.ndarray
    aspect: float


def planes(volume: Volume, labelmap: np.ndarray) -> list[ShownSlice]:
    """The axial, coronal and sagittal slice with most of the organs, from a volume of any orientation.

    Rows run from anterior to posterior (axial) or from head to foot, columns from the patient's right to left
    (axial, coronal) or from anterior to posterior (sagittal).
    """
    upright = reorient(volume, "LPS")
    labels = reorient(Volume(labelmap, volume.geometry), "LPS").array
    x, y, z = upright.geometry.spacing
    indices = [_fullest(labels, axis) for axis in range(3)]
    found = []
    for name, axis, index, aspect in zip(_PLANES, range(3), indices, (y / x, z / x, z / y), strict=True):
        image, mask = (np.take(array, index, axis) for array in (upright.array, labels))
        if axis != 0:  # z points up in the patient, and down in an array
            image, mask = image[::-1], mask[::-1]
        found.append(ShownSlice(name, image, mask, aspect))
    return found


def three_planes_png(volume: Volume, labelmap: np.ndarray, labels: LabelSet, title: str = "") -> bytes:
    """A PNG of `planes` with the organs outlined in their colours and named beside."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = planes(volume, labelmap)
    # A thin slab is shown as wide as three pictures at most, with room above and below.
    widths = [min(p.image.shape[1] / (p.image.shape[0] * p.aspect), _WIDEST) for p in shown]
    figure = Figure(figsize=(3.4 * sum(widths) + 1.9, 3.6), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, 4, width_ratios=[*widths, 1.9 / 3.4], left=0.01, right=0.99, top=0.9, bottom=0.02, wspace=0.03)  # fmt: skip  # noqa: E501
    window = _window(volume.array)
    for number, plane in enumerate(shown):
        _draw(figure.add_subplot(grid[number]), plane, labels, window)
    _name_organs(figure.add_subplot(grid[3]), labels, np.unique(labelmap))
    if title:
        figure.suptitle(title, color="white", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor=_BACKGROUND)
    return buffer.getvalue()


def development_png(volume: Volume, labelmaps: Sequence[np.ndarray], titles: Sequence[str], labels: LabelSet) -> bytes:
    """A PNG of one axial slice, the fullest of the last label map, under one label map after another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    upright = reorient(volume, "LPS")
    turned = [reorient(Volume(labelmap, volume.geometry), "LPS").array for labelmap in labelmaps]
    index = _fullest(turned[-1], 0)
    x, y, _ = upright.geometry.spacing
    shape = upright.array.shape
    figure = Figure(figsize=(2.4 * len(turned), 2.4 * shape[1] * y / (shape[2] * x) + 0.3), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    for number, (array, title) in enumerate(zip(turned, titles, strict=True)):
        axes = figure.add_subplot(1, len(turned), number + 1)
        _draw(axes, ShownSlice("axial", upright.array[index], array[index], y / x), labels, _window(volume.array))
        axes.set_title(title, color="white", fontsize=9)
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - 0.3 / figure.get_size_inches()[1], bottom=0.01, wspace=0.03)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor=_BACKGROUND)
    return buffer.getvalue()


def curves_png(curves: Mapping[str, Sequence[float]], steps: str) -> bytes:
    """A PNG of curves side by side, each over the numbers 0, 1, ... of what `steps` names; NaN is left out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(max(4.8, 2.4 * len(curves)), 2.2), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (name, values) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), number + 1)
        axes.plot(range(len(values)), values, marker="o", color="#d9822b")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(steps, fontsize=8)
        axes.set_xlim(-0.3, len(values) - 0.7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw(axes: Any, plane: ShownSlice, labels: LabelSet, window: tuple[float, float]) -> None:
    axes.imshow(plane.image, cmap="gray", vmin=window[0], vmax=window[1], aspect=plane.aspect, interpolation="bilinear")
    for value, organ in labels.items():
        mask = plane.labels == value
        if mask.any():
            color = tuple(c / 255 for c in organ.color)
            padded = np.pad(mask, 1).astype(float)
            rows, columns = (np.arange(-1, n + 1) for n in mask.shape)
            axes.contourf(columns, rows, padded, levels=[0.5, 2], colors=[color], alpha=0.25)
            axes.contour(columns, rows, padded, levels=[0.5], colors=[color], linewidths=1.4)
    sides = ("A", "P") if plane.name == "sagittal" else ("R", "L")
    for text, place in zip(sides, (0.03, 0.93), strict=True):
        axes.text(place, 0.5, text, transform=axes.transAxes, color="#ffd54f", fontsize=9, va="center")
    axes.set_xlim(-0.5, plane.image.shape[1] - 0.5)
    axes.set_ylim(plane.image.shape[0] - 0.5, -0.5)
    axes.axis("off")


def _name_organs(axes: Any, labels: LabelSet, present: np.ndarray) -> None:
    axes.axis("off")
    names = [organ for value, organ in labels.items() if value in present]
    for number, organ in enumerate(names):
        height = 0.97 - 0.066 * number
        axes.text(0.0, height, "■", transform=axes.transAxes, color=tuple(c / 255 for c in organ.color), fontsize=12, va="top")  # fmt: skip  # noqa: E501
        axes.text(0.13, height - 0.005, organ.title, transform=axes.transAxes, color="white", fontsize=8.5, va="top")
    axes.text(0.0, 0.0, "For research use only", transform=axes.transAxes, color="#999999", fontsize=7)


def _fullest(labels: np.ndarray, axis: int) -> int:
    """The slice with most labelled voxels, the middle one if there are none."""
    counts = (labels > 0).sum(axis=tuple(a for a in range(3) if a != axis))
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2


def _window(array: np.ndarray) -> tuple[float, float]:
    sample = array.reshape(-1)[:: max(1, array.size // 200_000)]
    low, high = np.percentile(sample, (1, 99.5))
    return float(low), float(high if high > low else low + 1)  # units may be as small as e-12


def sheet_png(pictures: Sequence[bytes]) -> bytes:
    """PNG pictures below each other, all of one width in pixels."""
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    images = [image.resize((_SHEET_WIDTH, round(image.height * _SHEET_WIDTH / image.width))) for image in images]
    whole = Image.new("RGB", (_SHEET_WIDTH, sum(image.height for image in images)))
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()
