"""A prepared image through the network: tiles, engine, canvas."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.inference.assembly import Canvas
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.progress import CancelToken, Progress
from LiverMRISegLib.inference.tiling import Box, importance, pad_to, tiles
from LiverMRISegLib.models.specification import InferenceSpec

_AIR_SHARE = 0.05


def predict_logits(
    image: np.ndarray,
    engine: Engine,
    classes: int,
    spec: InferenceSpec,
    *,
    mirror: bool = False,
    progress: Progress,
    cancel: CancelToken,
) -> np.ndarray:
    """Logits float32 [C, Z, Y, X] of a normalised image [Z, Y, X].

    Tiles that hold nothing but air are not computed; they are background.

    Raises:
        CancelledError: between two tiles, if `cancel` asks for it.
    """
    padded, inner = pad_to(image, spec.patch)
    canvas = Canvas(classes, (padded.shape[0], padded.shape[1], padded.shape[2]))
    weight = importance(spec.patch)
    boxes = busy_tiles(padded, tiles(padded.shape, spec.patch, spec.overlap))
    flips = _flips(spec.mirror_axes if mirror else ())
    for number, box in enumerate(boxes):
        cancel.check()
        progress(f"network, tile {number + 1} of {len(boxes)}", number / len(boxes))
        canvas.add(box, _tile_logits(engine, padded[box], flips), weight)
    cancel.check()
    return canvas.mean(inner)


def busy_tiles(image: np.ndarray, boxes: Sequence[Box]) -> list[Box]:
    """The boxes that hold at least one voxel clearly brighter than air."""
    darkest, bright = float(image.min()), float(np.percentile(image, 99))
    threshold = darkest + _AIR_SHARE * (bright - darkest)
    return [box for box in boxes if image[box].max() > threshold]


def _flips(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Every combination of the axes, none of them first."""
    return [flip for n in range(len(axes) + 1) for flip in itertools.combinations(axes, n)]


def _tile_logits(engine: Engine, tile: np.ndarray, flips: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Mean logits [C, Z, Y, X] over the mirrored copies of a tile."""
    total: np.ndarray | None = None
    for axes in flips:
        logits = np.flip(engine.predict(np.flip(tile, axes)[None, None])[0], tuple(a + 1 for a in axes))
        total = logits if total is None else total + logits
    if total is None:
        raise ValueError("flips must hold at least the unflipped copy")
    return total / len(flips) if len(flips) > 1 else total
