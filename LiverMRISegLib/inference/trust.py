"""How far an organ's outline is to be trusted: the Dice to be expected of it, from signs that cost no further pass.

Each sign is a number of one organ that does not depend on the model's labels, resolution or contrast; a model's package
says how they are weighed (`TrustSpec`). Signs named "... dice" and "... agreement" are Dice coefficients d as
log(d / (1 - d)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from LiverMRISegLib.anatomy import LIVER, Organ
from LiverMRISegLib.inference.places import USUAL_MM, excess_mm
from LiverMRISegLib.inference.score_watch import ScoreWatch
from LiverMRISegLib.measurement.label_shapes import bounding_boxes, touches_edge
from LiverMRISegLib.models.package.specification import ModelSpec, TrustSpec
from LiverMRISegLib.preparation.label_grid import nearest_labels_on_grid
from LiverMRISegLib.preparation.scheme import AnyPrepared
from LiverMRISegLib.volume import Box

Signs = Mapping[str, Mapping[str, float]]
# Beyond these a Dice says no more.
_LOWEST, _HIGHEST = 0.02, 0.995
_FAR_MM = 50.0


def signs_of(watch: ScoreWatch, labelmap: np.ndarray, prepared: AnyPrepared, spec: ModelSpec) -> Signs:
    """The signs (`TRUST_SIGNS`) of every organ that was found, by its name.

    Args:
        watch: saw the prediction.
        labelmap: the result [Z, Y, X] on the volume's own grid, after the clean-up, with the model's label values.
        prepared: the volume as the network saw it.
        spec: the model.
    """
    z, y, x = watch.best.shape
    final = nearest_labels_on_grid(prepared.place(labelmap), (z, y, x))
    agreement, boxes = watch.agreement(final), bounding_boxes(final)
    places = _places(final, boxes, spec, watch.step)
    found = {
        organ: {
            **_own_signs(watch, final, value, boxes[value]),
            "tile agreement": _logit(agreement[value]),
            "place": places.get(organ, 0.0),
        }
        for value, organ in spec.labels.items()
        if value in boxes
    }
    expected = [own["expected dice"] for own in found.values()]
    for own in found.values():
        others = (sum(expected) - own["expected dice"]) / max(1, len(expected) - 1)
        own["others"] = others if len(expected) > 1 else own["expected dice"]
    return {organ.name: own for organ, own in found.items()}


def _own_signs(watch: ScoreWatch, final: np.ndarray, value: int, box: Box) -> dict[str, float]:
    """Those that need no other organ; all are of the mask in its `box`."""
    mask = final[box] == value
    voxels, best, second = np.count_nonzero(mask), watch.best[box], watch.second[box]
    share = watch.best_share[box][mask & (best == value)].sum(dtype=np.float64)
    share += watch.second_share[box][mask & (second == value)].sum(dtype=np.float64)
    is_other = mask & (best == value) & (second != 0)
    confusion = watch.second_share[box][is_other].sum(dtype=np.float64) / voxels
    agreeing = np.count_nonzero(mask & (best == value))
    faces = sum(np.count_nonzero(np.diff(np.pad(mask, 1), axis=axis)) for axis in range(3))
    return {
        # Were every voxel's class drawn by its probability: 2 sum(p in the mask) / (sum(p) + size of the mask).
        "expected dice": _logit(2 * share / (watch.totals[value] + voxels)),
        "probability": _logit(share / voxels),
        "outline agreement": _logit(2 * agreeing / (voxels + np.count_nonzero(watch.best == value))),
        "confusion": float(confusion),
        "size": float(np.log10(voxels * watch.step**3)),
        "surface": float(faces / voxels ** (2 / 3)),
        "cut": float(touches_edge(mask, box, final.shape)),
    }


def _places(final: np.ndarray, boxes: Mapping[int, Box], spec: ModelSpec, step: int) -> dict[Organ, float]:
    """How far the centres are outside their usual ranges seen from the liver, in units of 50 mm."""
    labels, preparation = spec.labels, spec.preparation
    if preparation.orientation != "LPS" or LIVER not in labels.organs or labels.value_of(LIVER) not in boxes:
        return {}
    spacing = np.array(preparation.spacing) * step

    def centre(value: int) -> np.ndarray:
        """In mm, to the left, back and head."""
        box = boxes[value]
        inside = np.argwhere(final[box] == value).mean(axis=0) + [part.start for part in box]
        return (inside * spacing)[::-1]

    liver = centre(labels.value_of(LIVER))
    found = {organ: centre(value) - liver for value, organ in labels.items() if value in boxes and organ in USUAL_MM}
    return {organ: excess_mm(organ, offset) / _FAR_MM for organ, offset in found.items()}


def trust_of(signs: Signs, spec: TrustSpec | None) -> dict[str, float]:
    """The Dice to be expected of every organ that has signs, by its name; empty if the model has no weights."""
    if spec is None:
        return {}
    return {organ: _score(own, spec) for organ, own in signs.items()}


def trust_flags(trust: Mapping[str, float], spec: TrustSpec | None) -> list[str]:
    """A flag for every organ whose trust is low, the least trusted first."""
    limit = spec.flag_below if spec is not None else 0.0
    return [
        f"{organ} has trust {score:.2f}: check the outline" for organ, score in first_to_check(trust) if score < limit
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
