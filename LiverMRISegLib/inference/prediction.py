"""The one way from a volume to labels: for the segmenter, for pseudo labels and for one-label training alike.

    prepared = prepared_by(spec, volume)
    region = segmenter.region(volume, prepared)
    found = labels_by(lambda where: score_slabs(prepared, spec, engine, region=where), prepared, spec, region)
    labelmap = restored(found.channels, prepared, spec.labels)
    postprocess(labelmap, spec.labels, spec.postprocessing, volume.geometry)

The network's scores come in slabs at its own resolution. Code that needs more than labels (votes, the mean of several
networks, entropy) looks at the slabs, or supplies its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.abdomen import abdomen_of, joined
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.image_refinement import refine_outlines, softmax
from LiverMRISegLib.inference.progress import CancelToken, Progress, silent
from LiverMRISegLib.inference.region import is_cut
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.inference.tiled_network import predict_slabs
from LiverMRISegLib.models.package.specification import ABDOMEN, InferenceSpec, ModelSpec
from LiverMRISegLib.preparation.label_grid import labels_of_slabs, nearest_labels_on_grid
from LiverMRISegLib.preparation.scheme import AnyPrepared, prepare_by_scheme
from LiverMRISegLib.volume import Box, Volume

logger = logging.getLogger(__name__)
# Takes a region (None: everywhere); gives scores float32 [C, planes, Y, X] at the network's resolution, in order.
ScoreSource = Callable[[Box | None], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Prediction:
    """`channels` uint8 [Z, Y, X] of `prepared.shape`: the class of the highest score; `region`: where tiles were.

    `is_second_look`: the abdomen was looked at apart.
    """

    channels: np.ndarray
    region: Box | None
    is_second_look: bool = False


def prepared_by(spec: ModelSpec, volume: Volume, further: Sequence[Volume] = ()) -> AnyPrepared:
    """`volume`, and the `further` images of its case, as the network expects them.

    Raises:
        UsageError: the model takes more or fewer images.
        InputError: the images are on different grids, or contain NaN or infinite voxels.
    """
    prepared = prepare_by_scheme(volume, spec.preparation, further)
    if not np.isfinite(prepared.image).all():
        raise InputError(f"{volume.name}: contains NaN or infinite voxels; replace them first")
    return prepared


def score_slabs(
    prepared: AnyPrepared,
    spec: ModelSpec,
    engine: Engine,
    *,
    mirror: bool = False,
    region: Box | None = None,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
    watch: ScoreWatch | None = None,
) -> Iterator[np.ndarray]:
    """The scores of a model for a prepared volume, slab by slab; see `as_probabilities` for what they are.

    With `image_refinement` there is a single slab: outlines are refined on the whole image at once. `watch` sees the
    network's own scores, before that.

    Raises:
        CancelledError: `cancel` was used.
        DeviceMemoryError: the device's memory is too small.
    """
    classes = int(spec.network.kwargs["out_channels"])
    slabs = predict_slabs(
        prepared.image,
        engine,
        classes,
        spec.inference,
        mirror=mirror,
        region=region,
        progress=progress,
        cancel=cancel or CancelToken(),
        watch=watch,
    )
    if not spec.inference.image_refinement:
        yield from slabs
        return
    logits = np.concatenate(list(slabs), axis=1)
    progress("drawing outlines to the image", 1.0)
    names = {organ.name: channel for channel, organ in spec.labels.items()}
    offsets = {names[organ]: offset for organ, offset in spec.inference.outline_offsets.items()}
    unrefined = {names[organ] for organ in spec.inference.unrefined}
    yield refine_outlines(logits, prepared.image.reshape(-1, *logits.shape[1:])[0], offsets, unrefined)


def as_probabilities(scores: np.ndarray, spec: InferenceSpec) -> np.ndarray:
    """The scores [C, ...] of `score_slabs` as probabilities: with `image_refinement` they are that already."""
    return scores if spec.image_refinement else softmax(scores)


def labels_by(
    source: ScoreSource,
    prepared: AnyPrepared,
    spec: ModelSpec,
    region: Box | None = None,
    name: str = "volume",
    *,
    is_chosen: bool = False,
) -> Prediction:
    """The labels of the highest scores; the whole image is computed if organs reach the edge of `region`.

    A model whose region is the abdomen takes a second look there if the field of view is long. `source` may be asked
    several times; the last time for what is returned. If a user chose the region (`is_chosen`), everything outside is
    background.

    Memory: the slabs at the network's resolution, and a few planes of one class at the full one.
    """
    found = Prediction(_channels(source(region), prepared, spec.inference), region)
    if is_chosen:
        return found
    organs = np.isin(found.channels, list(spec.labels))
    if region is not None and is_cut(organs, prepared.image.shape[-3:], region):
        logger.info("%s: organs reach the edge of the region; all tiles are computed", name)
        found = Prediction(_channels(source(None), prepared, spec.inference), None)
    return _second_look(source, prepared, spec, found, name) if spec.inference.region == ABDOMEN else found


def _second_look(
    source: ScoreSource, prepared: AnyPrepared, spec: ModelSpec, first: Prediction, name: str
) -> Prediction:
    """`first`, or where the field of view reaches far beyond the liver the labels of tiles in the abdomen alone."""
    shape, inference = prepared.image.shape[-3:], spec.inference
    abdomen = abdomen_of(first.channels, spec.labels, shape, spec.preparation.spacing, inference.patch[0])
    if abdomen is None:
        return first
    if first.region is not None:
        abdomen = (abdomen[0], first.region[1], first.region[2])
    second = _channels(source(abdomen), prepared, inference)
    channels = joined(first.channels, second, spec.labels, shape, abdomen)
    if channels is not None:
        logger.info("%s: a long field of view; the abdomen was looked at apart", name)
        return Prediction(channels, abdomen, is_second_look=True)
    logger.info(
        "%s: a long field of view, but the abdomen alone loses an organ or cuts one; the first look stays", name
    )
    return Prediction(_channels(source(first.region), prepared, inference), first.region)


def _channels(slabs: Iterable[np.ndarray], prepared: AnyPrepared, spec: InferenceSpec) -> np.ndarray:
    if spec.resample == "labels":
        coarse = np.concatenate([slab.argmax(axis=0).astype(np.uint8) for slab in slabs])
        return nearest_labels_on_grid(coarse, prepared.shape)
    z, y, x = prepared.image.shape[-3:]
    return labels_of_slabs(slabs, (z, y, x), prepared.shape, prepared.nearest_axis)


def restored(channels: np.ndarray, prepared: AnyPrepared, known: Collection[int]) -> np.ndarray:
    """`channels` on the volume's own grid, uint8 [Z, Y, X], those not `known` as background."""
    table = np.zeros(256, np.uint8)
    table[list(known)] = list(known)
    return prepared.restore(table[channels])
