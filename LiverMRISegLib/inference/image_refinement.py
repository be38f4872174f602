"""Probabilities drawn to what the image itself shows: a look of each organ learnt in the case, then a random walk.

A network of coarse voxels, trained on images of every kind, is sure of the middle of an organ and unsure of its
outline; the image at hand knows better. Two steps, both without training:

1. Look. Voxels that the network is sure of show how bright each organ is in this image (shading taken out). Everywhere
   else these histograms join the network's probabilities, as likelihoods join a prior.
2. Walk (random walker with priors, Grady 2005). Probabilities flow between neighbours that look alike and stop at
   edges; a weak spring pulls every voxel back to what it was, the stronger the surer it was.

Then outlines may be moved a little, by organ: people put the outline of a bright organ on the dark side of its blurred
edge, and no label map of CT tells. Organs may be exempt: blood that flows is not equally bright along a vessel.

Numbers were chosen on the ten T2 volumes of docs/studies; the Dice hardly depends on any. All arrays are [Z, Y, X]
or [C, Z, Y, X], float32, at the network's resolution.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.preparation.normalisation import AIR_SHARE
from LiverMRISegLib.volume import Box

_SURE = 0.8
_FEWEST_SURE = 100
_BINS = 48
# Weight of the look against the network: the voxels of a neighbourhood are not independent witnesses.
_LOOK = 0.5
# Of a histogram, that is spread over all bins: what was never seen is unlikely, not impossible.
_UNSEEN = 0.05
_SHADING_SIGMA = 25.0
_FEWEST_PLANES = 4  # that ITK's filter takes
_STEPS = 24
_SPRING, _SPRING_OF_THE_SURE = 0.01, 0.03
_LEAK = 1e-3
_CANDIDATE, _MARGIN = 0.1, 8
# Voxels of the smallest organ that walks: the steps of the walk would dissolve a gallbladder.
_SMALLEST = 1000
_NONE: Mapping[int, float] = MappingProxyType({})


def refine_outlines(
    logits: np.ndarray, image: np.ndarray, offsets: Mapping[int, float] = _NONE, unrefined: Collection[int] = ()
) -> np.ndarray:
    """Probabilities [C, Z, Y, X], background first, of a network's logits for the `image` [Z, Y, X] it saw.

    `offsets`, by channel, are added to the logarithm of the probability in and next to the largest piece of the
    organ, if it is brighter than what is around it: its outline moves by less than two voxels, and nothing else
    becomes the organ. The probabilities of the channels `unrefined` stay the network's own.
    """
    probabilities = softmax(logits)
    box = _box_of(1 - probabilities[0] > _CANDIDATE, _MARGIN)
    if box is None:
        return probabilities
    inside = (slice(None), *box)
    brightness = _without_shading(image)[box]
    looked = _with_look(probabilities[inside], brightness)
    walked = _walked(looked, brightness, _contrast_within(probabilities[inside], brightness))
    kept = _kept(walked, probabilities[inside], unrefined)
    probabilities[inside] = _moved(kept, brightness, offsets)
    return probabilities


def _kept(refined: np.ndarray, own: np.ndarray, unrefined: Collection[int]) -> np.ndarray:
    """In place: the channels `unrefined` have their `own` probabilities again, the others share what these leave."""
    if not unrefined:
        return refined
    others = [channel for channel in range(len(refined)) if channel not in unrefined]
    left = 1 - sum(own[channel] for channel in unrefined)
    scale = left / (sum(refined[channel] for channel in others) + 1e-12)
    for channel in others:
        refined[channel] *= scale
    for channel in unrefined:
        refined[channel] = own[channel]
    return refined


def _moved(probabilities: np.ndarray, brightness: np.ndarray, offsets: Mapping[int, float]) -> np.ndarray:
    """In place; organs that are darker than what is around them stay as they are."""
    if not any(offsets.values()):
        return probabilities
    highest = probabilities.argmax(axis=0)
    for channel, offset in offsets.items():
        organ = highest == channel
        # The largest piece without what hangs on it by less than 3 voxels: were the bridge to a piece of bowel made
        # stronger, both would be the largest piece.
        core = _grown(_largest(~_grown(~organ)))
        near = _grown(core)
        around = _grown(near) & ~near
        if around.any() and brightness[core].mean() > brightness[around].mean():
            probabilities[channel][near & ~_grown(organ & ~near)] *= np.exp(offset)
    probabilities /= probabilities.sum(axis=0)
    return probabilities


def _largest(mask: np.ndarray) -> np.ndarray:
    pieces = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    return sitk.GetArrayFromImage(sitk.RelabelComponent(pieces, sortByObjectSize=True)) == 1


def _grown(mask: np.ndarray) -> np.ndarray:
    """A bool mask and its 26 neighbours."""
    for axis in range(3):
        wide = mask.copy()
        to, back = [slice(None)] * 3, [slice(None)] * 3
        to[axis], back[axis] = slice(1, None), slice(None, -1)
        wide[tuple(to)] |= mask[tuple(back)]
        wide[tuple(back)] |= mask[tuple(to)]
        mask = wide
    return mask


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [C, ...] of logits [C, ...]."""
    raised = np.exp(logits - logits.max(axis=0))
    raised /= raised.sum(axis=0)
    return raised


def _box_of(mask: np.ndarray, margin: int) -> Box | None:
    parts = []
    for axis, size in enumerate(mask.shape):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not found.size:
            return None
        parts.append(slice(max(0, int(found[0]) - margin), min(size, int(found[-1]) + 1 + margin)))
    return (parts[0], parts[1], parts[2])


def _without_shading(image: np.ndarray) -> np.ndarray:
    """The logarithm of the image less its own wide mean over tissue: what a coil makes brighter comes down."""
    positive = image - image.min()
    bright = float(np.percentile(positive, 99))
    tissue = (positive > AIR_SHARE * bright).astype(np.float32)
    level = np.log(positive + AIR_SHARE * bright + 1e-6).astype(np.float32)
    return level - _blurred(level * tissue) / (_blurred(tissue) + 1e-3)


def _blurred(array: np.ndarray) -> np.ndarray:
    thick = np.pad(array, [(0, max(0, _FEWEST_PLANES - n)) for n in array.shape], mode="edge")
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(thick), _SHADING_SIGMA))
    return smooth[tuple(slice(0, n) for n in array.shape)]


def _with_look(probabilities: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Bayes' rule with the histograms of what is sure; a class without sure voxels keeps an even one."""
    low, high = np.percentile(brightness, [1, 99.7])
    bins = np.clip((brightness - low) * (_BINS / max(high - low, 1e-6)), 0, _BINS - 1).astype(np.uint8)
    joined = np.empty_like(probabilities)
    for one, out in zip(probabilities, joined, strict=True):
        sure = one > _SURE
        likelihood = _histogram(bins[sure]) if np.count_nonzero(sure) >= _FEWEST_SURE else np.ones(_BINS)
        np.multiply(one, (likelihood**_LOOK).astype(np.float32)[bins], out=out)
    joined /= joined.sum(axis=0) + 1e-12
    return joined


def _histogram(bins: np.ndarray) -> np.ndarray:
    """How much likelier than by chance each bin is, smoothed over its neighbours."""
    counts = np.convolve(np.bincount(bins, minlength=_BINS), [0.25, 0.5, 0.25], mode="same")
    spread: np.ndarray = (1 - _UNSEEN) * counts * (_BINS / counts.sum()) + _UNSEEN
    return spread


def _contrast_within(probabilities: np.ndarray, brightness: np.ndarray) -> float:
    """The standard deviation of brightness inside organs, over what is sure: by how much alike voxels differ."""
    inside = [brightness[one > _SURE] for one in probabilities[1:]]
    known = [values - values.mean() for values in inside if values.size]
    return max(float(np.concatenate(known or [brightness]).std()), 1e-3)


def _walked(probabilities: np.ndarray, brightness: np.ndarray, contrast: float) -> np.ndarray:
    """Every large organ by itself in its own box; background is what the organs leave."""
    spring = _SPRING + _SPRING_OF_THE_SURE * probabilities.max(axis=0) ** 8
    forward, backward, held = _links(brightness / contrast, spring)

    def walk(one: np.ndarray) -> None:
        """In place."""
        box = _box_of(one > _CANDIDATE, _MARGIN)
        is_large = np.count_nonzero(one > 0.5) >= _SMALLEST
        if is_large and box is not None and all(part.stop - part.start > 2 for part in box):
            one[box] = _diffused(one[box], [f[box] for f in forward], [b[box] for b in backward], held[box])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy works outside Python's lock
        list(pool.map(walk, probabilities[1:]))
    probabilities[0] = np.maximum(1 - probabilities[1:].sum(axis=0), 0)
    probabilities /= probabilities.sum(axis=0)  # organs that walked in boxes of their own may claim more than 1
    return probabilities


def _links(brightness: np.ndarray, spring: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """What a voxel takes from its next neighbour along each axis, from the one before, and from its own past.

    The shares of a voxel add up to 1.
    """
    forward, backward = [], []
    for axis in range(3):
        link = np.exp(-np.square(np.diff(brightness, axis=axis))) + _LEAK
        ends = [(0, 0)] * 3
        ends[axis] = (0, 1)
        forward.append(np.pad(link, ends).astype(np.float32))
        backward.append(np.roll(forward[-1], 1, axis))
    total = spring + sum(forward) + sum(backward)
    return [f / total for f in forward], [b / total for b in backward], (spring / total).astype(np.float32)


def _diffused(start: np.ndarray, forward: list[np.ndarray], backward: list[np.ndarray], held: np.ndarray) -> np.ndarray:
    """Jacobi's steps towards the walk's end; the outermost voxels stay as they are."""
    inner = (slice(1, -1),) * 3
    own = held[inner] * start[inner]
    shares = [(f[inner], b[inner]) for f, b in zip(forward, backward, strict=True)]
    now, part = start.copy(), np.empty_like(own)
    for _ in range(_STEPS):
        total = own.copy()
        for axis, (ahead, behind) in enumerate(shares):
            for share, shift in ((ahead, 1), (behind, -1)):
                np.multiply(share, now[_shifted(axis, shift)], out=part)
                total += part
        now[inner] = total
    return now


def _shifted(axis: int, shift: int) -> Box:
    """The inner voxels' neighbours along an axis."""
    parts = [slice(1, -1)] * 3
    parts[axis] = slice(2, None) if shift > 0 else slice(0, -2)
    return (parts[0], parts[1], parts[2])
