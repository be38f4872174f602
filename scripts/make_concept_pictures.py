"""Make the pictures of docs/concepts from the running software: make_concept_pictures.py [NAME ...].

All are made from the drawn phantom, so that they can be shown and made again anywhere.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from LiverMRISegLib.anatomy import LIVER
from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.image_refinement import refine_outlines
from LiverMRISegLib.inference.progress import CancelToken, silent
from LiverMRISegLib.inference.tiled_network import predict_logits
from LiverMRISegLib.inference.tiling import tiles
from LiverMRISegLib.io.atomic import atomic_write_bytes
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.preparation.label_grid import labels_on_grid
from LiverMRISegLib.preparation.scheme import prepare_by_scheme
from LiverMRISegLib.synthesis.generator import ImageMaker, SyntheticImage
from LiverMRISegLib.synthesis.structure_maps import make_structure_map
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "concepts" / "pictures"
_RECIPE = ROOT / "scripts" / "train" / "recipes" / "liver_any_sequence.yaml"
_ORANGE = "#e8902f"

logger = logging.getLogger(__name__)


def png(figure: Figure, dpi: int = 90) -> bytes:
    """The figure as a file."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def panels(count: int, titles: Sequence[str], size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    """A figure of `count` pictures side by side."""
    figure = Figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure, axes


def shown(axis: Any, image: np.ndarray, aspect: float, **settings: Any) -> None:
    """A coronal plane [Z, X] with the head up."""
    axis.imshow(image[::-1], aspect=aspect, interpolation="nearest", **{"cmap": "gray", **settings})


def volume_path() -> bytes:
    """What becomes of a volume on its way to a mask: a coronal plane after every step."""
    package = load_model("liver-any-sequence")
    spec = package.spec
    scan = make_study([MrSequence.T2WI], seed=2)[MrSequence.T2WI]
    prepared = prepare_by_scheme(scan.volume, spec.preparation, [])
    classes = int(spec.network.kwargs["out_channels"])
    logits = predict_logits(
        prepared.image, load_engine(package, "cpu"), classes, spec.inference, progress=silent, cancel=CancelToken()
    )
    liver = spec.labels.value_of(LIVER)
    likely = np.exp(logits - logits.max(0))
    likely = (likely / likely.sum(0))[liver]
    drawn = refine_outlines(logits, prepared.image)
    labelmap = prepared.restore(labels_on_grid(drawn, prepared.shape)) == liver
    titles = (
        f"1 the file: {' x '.join(f'{s:.1f}' for s in scan.volume.geometry.spacing)} mm",
        "2 prepared: 3 mm, normalised; tiles",
        "3 probability of the liver",
        "4 drawn to the image",
        "5 the mask on the file's grid",
    )
    figure, axes = panels(5, titles, (13, 2.1))
    own = scan.volume.array.shape[1] * 45 // 100
    z, _, x = scan.volume.geometry.spacing[::-1]
    shown(axes[0], scan.volume.array[:, own], z / x)
    grid = prepared.image.shape
    plane = grid[1] * 45 // 100
    shown(axes[1], prepared.image[:, plane], 1)
    for box in tiles(grid, spec.inference.patch, spec.inference.overlap):
        if box[1].start <= plane < box[1].stop:
            corner = (box[2].start - 0.5, grid[0] - box[0].stop - 0.5)
            size = (box[2].stop - box[2].start, box[0].stop - box[0].start)
            axes[1].add_patch(Rectangle(corner, *size, fill=False, edgecolor=_ORANGE, linewidth=1.2))
    shown(axes[2], likely[:, plane], 1, cmap="magma", vmin=0, vmax=1)
    shown(axes[3], drawn[liver][:, plane], 1, cmap="magma", vmin=0, vmax=1)
    shown(axes[4], scan.volume.array[:, own], z / x)
    axes[4].contour(labelmap[::-1][:, own], levels=[0.5], colors=[_ORANGE], linewidths=1.4)
    return png(figure)


def synthetic_images() -> bytes:
    """One body, its structures, and images that the generator makes of it."""
    data = read_config(FinetuneConfig, _RECIPE).data
    scan = make_study([MrSequence.T1WI], seed=0)[MrSequence.T1WI]
    body = make_structure_map("phantom", scan.labelmap, LABELS)
    maker = ImageMaker(data.organs, data.synthetic.randomization, data.preparation)
    samples = [maker.make(body, seed) for seed in (3, 5, 8, 12, 21, 34, 40)]
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    first = figure.add_subplot(2, 4, 1)
    middle = body.structures.shape[0] // 2
    first.imshow(body.structures[middle], cmap="nipy_spectral", interpolation="nearest")
    first.set_title("the body's structure map", fontsize=9)
    first.set_axis_off()
    for number, sample in enumerate(samples):
        axis = figure.add_subplot(2, 4, number + 2)
        plane = fullest(sample)
        axis.imshow(sample.image[plane], cmap="gray", interpolation="nearest")
        axis.contour(sample.labels[plane] == 1, levels=[0.5], colors=[_ORANGE], linewidths=1)
        axis.set_title(f"seed {number + 1}: image, and the liver's label", fontsize=9)
        axis.set_axis_off()
    return png(figure, 80)


def fullest(sample: SyntheticImage) -> int:
    """The plane with most of the liver."""
    return int((sample.labels == 1).sum((1, 2)).argmax())


PICTURES: dict[str, Callable[[], bytes]] = {"volume_path": volume_path, "synthetic_images": synthetic_images}


def main() -> int:
    """Make the pictures named, or all."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in sys.argv[1:] or PICTURES:
        atomic_write_bytes(FOLDER / f"{name}.png", PICTURES[name]())
        logger.info("%s.png written", name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
