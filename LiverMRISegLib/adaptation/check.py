"""Whether an adapted model is better than its start: on cases that were held out, and where the two differ."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.adaptation.corrections import Correction
from LiverMRISegLib.adaptation.masks import Masks, given_mask
from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.measurement.agreement import dice_per_label

_DIGITS = 3
# Ten T2 volumes of CHAOS: people's masks had 0.85 and more, those of another volume on the same grid 0.55 at most, and
# masks whose kidneys were exchanged about a half (mean of liver, kidneys, spleen).
_UNLIKE = 0.6


@dataclass(frozen=True)
class OrganCheck:
    """Mean Dice of an organ over the held-out `cases` whose masks have it."""

    organ: str
    cases: int
    before: float
    after: float


def check_held_out(held_out: Sequence[Correction], before: Masks, after: Masks, labels: LabelSet) -> list[OrganCheck]:
    """Both models against the corrected masks, by organ; organs that nobody corrected do not count."""
    found: dict[int, list[tuple[float, float]]] = {}
    for case in held_out:
        truth = given_mask(case)
        old, new = (_dice_of(read_labelmap(m[case.scan.image]).array, truth, case.organs) for m in (before, after))
        for value in sorted(case.organs):
            found.setdefault(value, []).append((old[value], new[value]))
    rows = []
    for value in sorted(found):
        old_mean, new_mean = (statistics.mean(column) for column in zip(*found[value], strict=True))
        rows.append(OrganCheck(labels[value].name, len(found[value]), old_mean, new_mean))
    return rows


def unchanged(cases: Sequence[Correction], own: Masks) -> list[Correction]:
    """The cases whose masks are the model's own, voxel by voxel."""
    found = []
    for case in cases:
        given, made = given_mask(case), read_labelmap(own[case.scan.image]).array
        if np.array_equal(given, np.where(np.isin(made, sorted(case.organs)), made, 0)):
            found.append(case)
    return found


def unlike(cases: Sequence[Correction], own: Masks) -> list[tuple[Correction, float]]:
    """The cases whose masks have little in common with the model's own, with the mean Dice of their organs.

    Such a mask may be of another volume, or have values that mean something else.
    """
    found = []
    for case in cases:
        made = read_labelmap(own[case.scan.image]).array
        dice = statistics.mean(_dice_of(made, given_mask(case), case.organs).values())
        if dice < _UNLIKE:
            found.append((case, dice))
    return found


def means(checks: Sequence[OrganCheck]) -> tuple[float, float]:
    """Over the organs, before and after, rounded as people see them."""
    before, after = (statistics.mean(getattr(check, which) for check in checks) for which in ("before", "after"))
    return round(before, _DIGITS), round(after, _DIGITS)


def agreement(scans: Sequence[Scan], before: Masks, after: Masks, labels: LabelSet) -> dict[str, float]:
    """Mean Dice between the two models' masks, by organ that either of them finds."""
    found: dict[int, list[float]] = {}
    for scan in scans:
        old, new = (read_labelmap(masks[scan.image]).array for masks in (before, after))
        for value, dice in _dice_of(old, new, labels).items():
            found.setdefault(value, []).append(dice)
    return {labels[value].name: statistics.mean(found[value]) for value in sorted(found)}


def _dice_of(first: np.ndarray, second: np.ndarray, values: Iterable[int]) -> Mapping[int, float]:
    return dice_per_label(first.astype(np.uint8), second.astype(np.uint8), values)
