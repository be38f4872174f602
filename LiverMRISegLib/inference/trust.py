"""How far an organ's outline is to be trusted: the Dice to be expected of it, from signs that cost no further pass.

Each sign is a number of one organ that means the same for every model; a model's package says how they are weighed
(`TrustSpec`). They are those of the voxels inside the outline that the network itself calls the organ: where refinement
and outline offsets moved the outline on purpose, its probabilities say nothing against it.

- "expected dice": the Dice of these voxels, were every voxel's class drawn by its probability.
- "probability": the mean probability of the organ in them.
- "size": the logarithm (base 10) of their number, at the network's resolution.

The first two, from 0 to 1, count as log(x / (1 - x)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from LiverMRISegLib.inference.flag import TRUST, Flag
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.measurement.label_shapes import bounding_boxes
from LiverMRISegLib.models.package.specification import ModelSpec, TrustSpec
from LiverMRISegLib.preparation.label_grid import nearest_labels_on_grid
from LiverMRISegLib.preparation.scheme import AnyPrepared
from LiverMRISegLib.volume import Box

Signs = Mapping[str, Mapping[str, float]]
# Beyond these a Dice says no more.
_LOWEST, _HIGHEST = 0.02, 0.995


def signs_of(watch: ScoreWatch, labelmap: np.ndarray, prepared: AnyPrepared, spec: ModelSpec) -> Signs:
    """The signs (`TRUST_SIGNS`) of every organ that was found, by its name.

    Args:
        watch: saw the prediction.
        labelmap: the result [Z, Y, X] on the volume's own grid, after the clean-up, with the model's label values.
        prepared: the volume as the network saw it.
        spec: the model.
    """
    z, y, x = prepared.image.shape[-3:]
    every = slice(None, None, watch.step)
    final = np.ascontiguousarray(nearest_labels_on_grid(prepared.place(labelmap), (z, y, x))[every, every, every])
    boxes = bounding_boxes(final)
    return {
        organ.name: _signs(watch, final, value, boxes[value]) for value, organ in spec.labels.items() if value in boxes
    }


def _signs(watch: ScoreWatch, final: np.ndarray, value: int, box: Box) -> dict[str, float]:
    """Those of the organ whose outline in `final` [Z, Y, X] is inside `box`."""
    mask = (final[box] == value) & (watch.best[box] == value)
    voxels = max(1, int(np.count_nonzero(mask)))
    share = watch.best_share[box][mask].sum(dtype=np.float64)
    return {
        # Were every voxel's class drawn by its probability: 2 sum(p in the mask) / (sum(p) + size of the mask).
        "expected dice": _logit(2 * share / (watch.totals[value] + voxels)),
        "probability": _logit(share / voxels),
        "size": float(np.log10(voxels * watch.step**3)),
    }


def trust_of(signs: Signs, spec: TrustSpec | None) -> dict[str, float]:
    """The Dice to be expected of every organ that has signs, by its name; empty if the model has no weights."""
    if spec is None:
        return {}
    return {organ: _score(own, spec) for organ, own in signs.items()}


def trust_flags(trust: Mapping[str, float], spec: TrustSpec | None) -> list[Flag]:
    """A flag for every organ whose trust is low, the least trusted first."""
    limit = spec.flag_below if spec is not None else 0.0
    return [
        Flag(f"has trust {score:.2f}: check the outline", organ, TRUST)
        for organ, score in first_to_check(trust)
        if score < limit
    ]


def trust_source(spec: ModelSpec, *, is_in_box: bool) -> str:
    """What the trust of a result comes from, or why there is none, in words."""
    if spec.trust is None:
        return f"none: model {spec.name} has no weights for it"
    return "none: the organs were segmented in a box" if is_in_box else f"weights fitted on {spec.trust.fitted_on}"


def first_to_check(trust: Mapping[str, float]) -> Sequence[tuple[str, float]]:
    """Organs and their trust, the least trusted first."""
    return sorted(trust.items(), key=lambda item: item[1])


def _score(signs: Mapping[str, float], spec: TrustSpec) -> float:
    total = spec.intercept + sum(weight * signs[name] for name, weight in spec.weights.items())
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, total))))


def _logit(share: float) -> float:
    inside = min(max(share, _LOWEST), _HIGHEST)
    return math.log(inside / (1 - inside))
