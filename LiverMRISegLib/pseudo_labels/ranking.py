"""Which pseudo labels to trust: agreement of folds (paper 003), stability over iterations (paper 004, FLARE22)."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.measurement.agreement import dice


@dataclass(frozen=True)
class RankedCase:
    """A case with its score and whether it is kept; the best first."""

    name: str
    score: float
    is_kept: bool


def consistency(predictions: Sequence[np.ndarray], classes: int) -> dict[int, float]:
    """Mean Dice of all pairs of predictions per class from 1 on (paper 003, eq. 8).

    Args:
        predictions: label maps of one case by the folds, of one shape.
        classes: the highest class.

    Returns:
        One value per class that is in any prediction; a pair without it does not count.
    """
    if len(predictions) < 2:
        raise UsageError("consistency needs the predictions of at least two folds")
    found = {}
    for value in range(1, classes + 1):
        masks = [prediction == value for prediction in predictions]
        pairs = [dice(a, b) for a, b in itertools.combinations(masks, 2) if a.any() or b.any()]
        if pairs:
            found[value] = float(np.mean(pairs))
    return found


def case_scores(found: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """One score a case, of the consistencies per class of cases of one sequence: their mean.

    A class that more than half of the cases show (those without any class apart) counts 0 where it was not found:
    missing an organ must not rank above finding it poorly. A class that few show (after an operation, outside a small
    field of view) is not missed. NaN for a case in which nothing was found.
    """
    shown = Counter(value for classes in found.values() for value in classes)
    usual = {value for value, count in shown.items() if 2 * count > sum(map(bool, found.values()))}
    return {
        name: float(np.mean([classes.get(value, 0.0) for value in usual | set(classes)])) if classes else math.nan
        for name, classes in found.items()
    }


def instability(predictions: Sequence[np.ndarray]) -> float:
    """Changed voxels between successive iterations over the later one's foreground, averaged (paper 004, eq. 7).

    Infinite if an iteration after the first labels nothing. Voxels that either leaves open (IGNORE) do not count.
    """
    if len(predictions) < 2:
        raise UsageError("instability needs the predictions of at least two iterations")
    changes = []
    for before, after in itertools.pairwise(predictions):
        known = (before != IGNORE) & (after != IGNORE)
        foreground = int(((after > 0) & known).sum())
        changes.append(float(((before != after) & known).sum()) / foreground if foreground else np.inf)
    return float(np.mean(changes))


def union(predictions: Sequence[np.ndarray]) -> np.ndarray:
    """All that any iteration labels (paper 004); where they disagree on the class, the latest iteration decides.

    Open (IGNORE) is what the last leaves open and none labels.
    """
    joined = np.where(predictions[-1] == IGNORE, predictions[-1], 0)
    for prediction in predictions:
        joined = np.where((prediction > 0) & (prediction != IGNORE), prediction, joined)
    return joined


def keep_best(scores: Mapping[str, float], count: int, *, highest: bool) -> list[RankedCase]:
    """All cases from best to worst, the first `count` kept; a score that is not finite is never kept.

    `highest` says whether high scores are the good ones (consistency) or low ones (instability).
    """
    sign = -1.0 if highest else 1.0
    order = sorted(scores, key=lambda name: (not np.isfinite(scores[name]), sign * scores[name], name))
    return [
        RankedCase(name, scores[name], place < count and bool(np.isfinite(scores[name])))
        for place, name in enumerate(order)
    ]
