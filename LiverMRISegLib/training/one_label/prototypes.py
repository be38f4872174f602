"""Stage 1 of SemiSAM-O1 (paper 002): labels by likeness to the mean features of one labelled template's classes."""

from __future__ import annotations

import numpy as np

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


def offsets(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What to add to each class's scores so that each organ of the template gets its best Dice (ours).

    A mean feature of the whole background is near to few of its voxels, so that organs grow far too large without.

    Args:
        scores: float [classes, Z, Y, X] of the template, background first, on the grid of `labels`.
        labels: int [Z, Y, X], the truth.

    Returns:
        float32 [classes], 0 for the background and for classes that are missing.
    """
    found = np.zeros(len(scores), np.float32)
    for value in range(1, len(scores)):
        truth = (labels == value).ravel()
        if truth.any() and scores[value].max() > MISSING:
            margin = (scores[value] - np.delete(scores, value, axis=0).max(axis=0)).ravel()
            order = np.argsort(-margin, kind="stable")
            dice = 2 * np.cumsum(truth[order]) / (np.arange(1, len(order) + 1) + truth.sum())
            found[value] = -margin[order[dice.argmax()]]
    return found


def nearest_on(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`labels` [Z, Y, X] at the centres of a grid of `shape` over the same extent, coarser or finer."""
    places = [(2 * np.arange(t) + 1) * s // (2 * t) for s, t in zip(labels.shape, shape, strict=True)]
    return labels[np.ix_(*places)]
