"""A prepared image through the network: tiles, engine, canvas."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from LiverMRISegLib.inference import tiling
from LiverMRISegLib.inference.assembly import Canvas
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.progress import CancelToken, Progress
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.inference.tiling import importance, pad_to
from LiverMRISegLib.models.package.specification import NNUNET, InferenceSpec
from LiverMRISegLib.preparation.normalisation import brighter_than_air
from LiverMRISegLib.volume import Box

# The smallest number of 16 bits, of weights that are 10 at most.
_NNUNET_LEAST = 6e-9


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
    """Logits float32 [C, Z, Y, X] of a normalised image [Z, Y, X], or of several of one case [C_in, Z, Y, X].

    They are the slabs of `predict_slabs` put together.
    """
    logits = np.empty((classes, *image.shape[-3:]), np.float32)
    first = 0
    for slab in predict_slabs(image, engine, classes, spec, mirror=mirror, progress=progress, cancel=cancel):
        logits[:, first : first + slab.shape[1]] = slab
        first += slab.shape[1]
    return logits


def predict_slabs(
    image: np.ndarray,
    engine: Engine,
    classes: int,
    spec: InferenceSpec,
    *,
    mirror: bool = False,
    region: Box | None = None,
    progress: Progress,
    cancel: CancelToken,
    watch: ScoreWatch | None = None,
) -> Iterator[np.ndarray]:
    """Logits float32 [C, planes, Y, X] of a normalised image as for `predict_logits`, first plane first.

    A slab comes as soon as no further tile reaches it. Tiles of nothing but air are not computed; they are
    background. For a model of nnU-Net (`spec.scheme`) all are computed, the image is surrounded by zeros, and the
    weights fall further, as in nnU-Net. Beyond the tiles of a `region`, a box at least as large as the patch where the
    image is, all is background. `watch` sees every slab.

    Raises:
        CancelledError: between two tiles, if `cancel` asks for it.
    """
    is_nnunet = spec.scheme == NNUNET
    padded, inner = pad_to(image, spec.patch, 0.0 if is_nnunet else None)
    z, y, x = padded.shape[-3:]
    canvas = Canvas(classes, (z, y, x), spec.patch[0], inner)
    weight = importance(spec.patch, _NNUNET_LEAST) if is_nnunet else importance(spec.patch)
    boxes = tiling.tiles((z, y, x), spec.patch, spec.overlap, _padded_region(region, inner, spec.patch))
    boxes = boxes if is_nnunet else busy_tiles(padded, boxes)
    flips = _flips(spec.mirror_axes if mirror else ())
    if watch is not None:
        watch.begin(image.shape[-3:])
    for start in range(0, len(boxes), engine.batch):
        cancel.check()
        progress(f"segmenting, part {start + 1} of {len(boxes)}", start / len(boxes))
        group = boxes[start : start + engine.batch]
        for box, logits in zip(group, _batch_logits(engine, [padded[(..., *b)] for b in group], flips), strict=True):
            yield from _seen(canvas.finished(box[0].start), watch)
            canvas.add(box, logits, weight)
    cancel.check()
    yield from _seen(canvas.finished(z), watch)


def _seen(slabs: Iterator[np.ndarray], watch: ScoreWatch | None) -> Iterator[np.ndarray]:
    for slab in slabs:
        if watch is not None:
            watch.slab(slab)
        yield slab


def _padded_region(region: Box | None, inner: Box, patch: Sequence[int]) -> Box | None:
    """A box of the image as one of the padded image, that of a padded axis as long as the patch."""
    if region is None:
        return None
    z, y, x = (
        slice(0, size) if part.stop - part.start < size else slice(part.start + first.start, part.stop + first.start)
        for part, first, size in zip(region, inner, patch, strict=True)
    )
    return (z, y, x)


def busy_tiles(image: np.ndarray, boxes: Sequence[Box]) -> list[Box]:
    """The boxes [Z, Y, X] that contain at least one voxel clearly brighter than air, in any image of the case."""
    images = image.reshape(-1, *image.shape[-3:])
    bright = np.any([brighter_than_air(one) for one in images], axis=0)
    return [box for box in boxes if bright[box].any()]


def _flips(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Every combination of the axes, none of them first."""
    return [flip for n in range(len(axes) + 1) for flip in itertools.combinations(axes, n)]


def _batch_logits(engine: Engine, tiles: Sequence[np.ndarray], flips: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Mean logits [B, C, Z, Y, X] over the mirrored copies of some tiles."""
    batch = np.stack(tiles).reshape(len(tiles), -1, *tiles[0].shape[-3:])
    total = engine.predict(batch)
    total = total.copy() if len(flips) > 1 else total
    for axes in flips[1:]:
        turned = tuple(a + 2 for a in axes)
        total = total + np.flip(engine.predict(np.flip(batch, turned)), turned)
    return total / len(flips) if len(flips) > 1 else total
