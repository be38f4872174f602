"""Stage 1 of SemiSAM-O1 (paper 002): labels by likeness to the mean features of one labelled template's classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.anatomy import IGNORE

# Below any cosine: a class that the template does not show never wins.
MISSING = -2.0


def class_prototypes(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The mean feature of every class, background first, of length 1; NaN for a class without a voxel.

    Args:
        features: float [C, z, y, x], not normalised.
        labels: int [z, y, x], on the features' grid.
        classes: the highest class.

    Returns:
        float32 [classes + 1, C].
    """
    rows = []
    for value in range(classes + 1):
        inside = features[:, labels == value]
        mean = inside.mean(axis=1) if inside.size else np.full(len(features), np.nan)
        rows.append(mean / max(float(np.linalg.norm(mean)), 1e-12) if inside.size else mean)
    return np.asarray(rows, np.float32)


def similarity(features: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Cosine of every voxel's feature with every prototype: float32 [classes, z, y, x]; MISSING for missing ones."""
    lengths = np.maximum(np.linalg.norm(features, axis=0), 1e-12)
    known = np.isfinite(prototypes).all(axis=1)
    cosines = np.tensordot(np.where(known[:, None], prototypes, 0), features / lengths, axes=(1, 0))
    scores: np.ndarray = np.where(known[:, None, None, None], cosines, MISSING).astype(np.float32)
    return scores


@dataclass(frozen=True)
class Calibration:
    """What the template's own truth says of the scores (ours); float32 [classes], the background's entries unused.

    `offsets` are added to the scores so that each organ gets its best Dice. An organ is certain where its score is
    `above` more than all others, and certainly absent where it is `below` (negative) less.
    """

    offsets: np.ndarray
    above: np.ndarray
    below: np.ndarray


def margin(scores: np.ndarray, value: int) -> np.ndarray:
    """How far the scores [classes, ...] of class `value` are above the highest of the others: [...]."""
    best: np.ndarray = scores[value] - np.delete(scores, value, axis=0).max(axis=0)
    return best


def calibrate(scores: np.ndarray, labels: np.ndarray, certainty: float) -> Calibration:
    """Calibrate on the template. A mean feature of the whole background is near to few of its voxels, so that organs
    grow far too large without.

    Args:
        scores: float [classes, Z, Y, X] of the template, background first, on the grid of `labels`.
        labels: int [Z, Y, X], the truth; IGNORE where nobody knows it.
        certainty: the share of voxels above `above` that are the organ, and of the organ's above `below`; 0 makes both
            0, and everything certain.

    Returns:
        Zeros for classes that are missing.
    """
    found = np.zeros((3, len(scores)), np.float32)
    known = labels != IGNORE
    for value in range(1, len(scores)):
        truth = labels[known] == value
        if not truth.any() or scores[value].max() <= MISSING:
            continue
        margins = margin(scores, value)[known]
        order = np.argsort(-margins, kind="stable")
        hits, taken = np.cumsum(truth[order]), np.arange(1, len(order) + 1)
        best = margins[order[(2 * hits / (taken + truth.sum())).argmax()]]
        found[0, value] = -best
        if certainty:
            enough = np.flatnonzero(hits / taken >= certainty)
            last = enough[-1] if len(enough) else (hits / taken).argmax()
            found[1, value] = max(0.0, margins[order[last]] - best)
            found[2, value] = min(0.0, np.quantile(margins[truth], 1 - certainty) - best)
    return Calibration(*found)


def nearest_on(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`labels` [Z, Y, X] at the centres of a grid of `shape` over the same extent, coarser or finer."""
    places = [(2 * np.arange(t) + 1) * s // (2 * t) for s, t in zip(labels.shape, shape, strict=True)]
    return labels[np.ix_(*places)]
