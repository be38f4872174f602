"""Refinement of SemiSAM-O1 (paper 002): uncertain labels replaced by the vote of the most similar confident cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LiverMRISegLib.training.one_label.prototypes import nearest_on


def uncertain_cases(uncertainty: np.ndarray, labelled: int, quantile: float) -> tuple[np.ndarray, float]:
    """Which cases are uncertain (bool [N]), and the threshold: the quantile over the unlabelled ones.

    The first `labelled` cases are certain whatever their figure.
    """
    threshold = float(np.quantile(uncertainty[labelled:], quantile))
    found = uncertainty >= threshold
    found[:labelled] = False
    return found, threshold


def nearest_certain(whole: np.ndarray, case: int, uncertain: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` certain cases most like `case`, and their weights: cosines of `whole` [N, C], none below 0."""
    cosines = whole @ whole[case]
    candidates = np.flatnonzero(~uncertain & (np.arange(len(whole)) != case))
    best = candidates[np.argsort(-cosines[candidates], kind="stable")][:count]
    return best, np.clip(cosines[best], 0, None)


def vote(labels: Sequence[np.ndarray], weights: np.ndarray, shape: tuple[int, ...], classes: int) -> np.ndarray:
    """The class with most weight at every voxel, uint8 of `shape`; label maps of other shapes are stretched to it."""
    totals = np.zeros((classes + 1, *shape), np.float32)
    for labelmap, weight in zip(labels, weights, strict=True):
        fitted = labelmap if labelmap.shape == shape else nearest_on(labelmap, shape)
        for value in range(classes + 1):
            totals[value] += weight * (fitted == value)
    return totals.argmax(axis=0).astype(np.uint8)


def refined(own: np.ndarray, voted: np.ndarray, entropy: np.ndarray, quantile: float) -> np.ndarray:
    """`own` with `voted` in its place where `entropy` [Z, Y, X] is above its quantile (the paper's text)."""
    chosen: np.ndarray = np.where(entropy > np.quantile(entropy, quantile), voted, own).astype(np.uint8)
    return chosen
