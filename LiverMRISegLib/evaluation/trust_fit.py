"""Weights of the trust score fitted to outlines whose Dice is known, and how well a score predicts it.

The expected Dice is a logistic function of the signs (`inference.trust`), fitted by cross entropy with the true Dice
(fractional logit, Papke and Wooldridge 1996). No weight is negative: all signs speak for an outline.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.anatomy import IGNORE, LabelSet
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.inference.trust import trust_of
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.models.package.specification import TRUST_SIGNS, TrustSpec

# An outline below this is one to find.
POOR = 0.8
FALSE_ALARMS = 0.1
_RIDGE = 0.01
# A smaller remainder of an organ at the edge of the volume has no Dice worth the name.
_LEAST_ML = 2.0
_FEWEST = 30
_FOLDS = 4


@dataclass(frozen=True)
class Sample:
    """An organ of a case with its true Dice and its signs; without signs if it was not found."""

    data_set: str
    case: str
    change: str
    organ: str
    dice: float
    signs: Mapping[str, float]


def samples_of(
    names: tuple[str, str, str], result: Segmentation, truth: np.ndarray, referred: LabelSet
) -> list[Sample]:
    """The organs of a result that `truth` [Z, Y, X] (on its grid, values of `referred`) shows.

    `names`: data set, case, what was done to it. Voxels that are IGNORE do not count.
    """
    known = truth != IGNORE
    found = []
    for value, organ in result.labels.items():
        if organ in referred.organs:
            wanted = (truth == referred.value_of(organ)) & known
            if np.count_nonzero(wanted) * result.geometry.voxel_volume_ml >= _LEAST_ML:
                score = dice((result.labelmap == value) & known, wanted)
                found.append(Sample(*names, organ.name, score, result.trust_signs.get(organ.name, {})))
    return found


def as_csv(samples: Sequence[Sample]) -> str:
    """A line a sample."""
    rows = (
        (
            s.data_set,
            s.case,
            s.change,
            s.organ,
            f"{s.dice:.4f}",
            *(f"{s.signs[n]:.4f}" if s.signs else "" for n in TRUST_SIGNS),
        )
        for s in samples
    )
    return csv_table(("set", "case", "change", "organ", "dice", *TRUST_SIGNS), rows)


def from_csv(text: str, where: str) -> list[Sample]:
    """What `as_csv` wrote; InputError names the file `where` it is if it is something else."""
    try:
        return [
            Sample(
                row["set"], row["case"], row["change"], row["organ"], float(row["dice"]),
                {name: float(row[name]) for name in TRUST_SIGNS} if row[TRUST_SIGNS[0]] else {},
            )
            for row in csv.DictReader(io.StringIO(text))
        ]  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{where}: is not a table of trust samples ({error}); remove it and start again") from error


def fit(samples: Sequence[Sample], signs: Sequence[str], fitted_on: str) -> TrustSpec:
    """Weights of `signs`; flagged is what scores lower than all but a tenth of the good outlines.

    Raises:
        InputError: there are too few samples, or no good outline among them.
    """
    from scipy.optimize import minimize

    seen = [s for s in samples if s.signs]
    truth = np.array([s.dice for s in seen])
    if len(seen) < _FEWEST or not (truth >= POOR).any():
        raise InputError(
            f"{len(seen)} outlines, {int((truth >= POOR).sum())} of them good, are too few: make more images"
        )
    values = np.array([[s.signs[name] for name in signs] for s in seen])
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
    scaled = np.column_stack([np.ones(len(seen)), (values - mean) / spread])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """And its gradient."""
        total = scaled @ weights
        entropy = np.logaddexp(0, total) - truth * total
        ridge = np.concatenate([[0], _RIDGE * weights[1:]])
        gradient = scaled.T @ (1 / (1 + np.exp(-total)) - truth) / len(seen)
        return float(entropy.mean() + (ridge * weights).sum() / 2), gradient + ridge

    bounds = [(None, None), *[(0.0, None)] * len(signs)]
    weights = minimize(loss, np.zeros(len(signs) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    own = weights[1:] / spread
    fitted = {name: round(float(w), 4) for name, w in zip(signs, own, strict=True) if abs(w) > 1e-4}
    spec = TrustSpec(round(float(weights[0] - (own * mean).sum()), 4), fitted, 0.0, fitted_on)
    scores = _scores(seen, spec)
    return TrustSpec(
        spec.intercept, fitted, round(float(np.quantile(scores[truth >= POOR], FALSE_ALARMS)), 3), fitted_on
    )


@dataclass(frozen=True)
class Figures:
    """How well a score predicts the Dice of the outlines that were found.

    `rank_correlation` is Spearman's; `sensitivity` the share of poor outlines among those that score lower than all but
    a tenth of the good ones; `flagged` and `false_alarms` the shares of poor and of good ones that are flagged;
    `error` the mean absolute difference of score and Dice. Over the images with several outlines: by how much the Dice
    of the least trusted one is above the lowest (`first_loss`), and that of one taken by chance (`chance_loss`).
    NaN where there are none.
    """

    outlines: int
    poor: int
    rank_correlation: float
    sensitivity: float
    flagged: float
    false_alarms: float
    error: float
    first_loss: float
    chance_loss: float


def figures(samples: Sequence[Sample], spec: TrustSpec) -> Figures:
    """Of the samples with signs."""
    seen = [s for s in samples if s.signs]
    return _figures(seen, _scores(seen, spec), spec.flag_below)


def cross_validated(samples: Sequence[Sample], signs: Sequence[str]) -> Figures:
    """Of the samples with signs, each by weights that were fitted to the images of the other folds.

    Raises:
        InputError: as `fit`.
    """
    seen = [s for s in samples if s.signs]
    places = {case: number % _FOLDS for number, case in enumerate(dict.fromkeys(s.case for s in seen))}
    scores, limits = np.zeros(len(seen)), np.zeros(len(seen))
    for fold in range(_FOLDS):
        spec = fit([s for s in seen if places[s.case] != fold], signs, "")
        own = [number for number, s in enumerate(seen) if places[s.case] == fold]
        scores[own], limits[own] = _scores([seen[number] for number in own], spec), spec.flag_below
    return _figures(seen, scores, limits)


def _figures(seen: Sequence[Sample], scores: np.ndarray, flag_below: np.ndarray | float) -> Figures:
    from scipy.stats import spearmanr

    truth = np.array([s.dice for s in seen])
    poor, low = truth < POOR, scores < flag_below
    limit = np.quantile(scores[~poor], FALSE_ALARMS) if (~poor).any() else math.nan
    losses = _losses(seen, scores)
    return Figures(
        len(seen),
        int(poor.sum()),
        float(spearmanr(scores, truth).statistic) if len(seen) > 2 else math.nan,
        _mean(scores[poor] < limit),
        _mean(low[poor]),
        _mean(low[~poor]),
        _mean(np.abs(scores - truth)),
        _mean(losses[:, 0]),
        _mean(losses[:, 1]),
    )


def _losses(seen: Sequence[Sample], scores: np.ndarray) -> np.ndarray:
    """[images, 2]: of the least trusted outline, and of one taken by chance."""
    images: dict[str, list[int]] = {}
    for number, sample in enumerate(seen):
        images.setdefault(sample.case, []).append(number)
    found = []
    for own in images.values():
        dices = np.array([seen[number].dice for number in own])
        if len(own) > 1:
            found.append((dices[int(np.argmin(scores[own]))] - dices.min(), dices.mean() - dices.min()))
    return np.array(found).reshape(-1, 2)


def _scores(seen: Sequence[Sample], spec: TrustSpec) -> np.ndarray:
    return np.array([trust_of({"": s.signs}, spec)[""] for s in seen])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
