"""How well two label maps agree: the library's one Dice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two bool masks of one shape, from 0 to 1; 1 if both are empty (Dice 1945)."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 1.0


def dice_per_label(first: np.ndarray, second: np.ndarray, values: Iterable[int]) -> dict[int, float]:
    """`dice` of each of the `values` that either of two label maps (uint8, of one shape) contains."""
    sizes = np.bincount(first.ravel(), minlength=256) + np.bincount(second.ravel(), minlength=256)
    both = np.bincount(first[first == second], minlength=256)
    return {value: float(2 * both[value] / sizes[value]) for value in values if sizes[value]}
