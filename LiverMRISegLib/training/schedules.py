"""Weights and learning rates as functions of the step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

_POWER = 0.9
_LEVELS = 200  # of a ramp


def polynomial(step: int, steps: int) -> float:
    """1 at the start, 0 at the end (nnU-Net's polynomial schedule)."""
    return max(0.0, 1.0 - step / steps) ** _POWER


def constant_then_linear(step: int, steps: int, falling: float = 0.5) -> float:
    """1 at first, then over the last share `falling` of the steps straight down to 0 (CycleGAN's schedule)."""
    return min(1.0, max(0.0, (1.0 - step / steps) / falling))


def staircase(step: int, steps: int) -> float:
    """BCP's schedule on the left atrium (Bai et al. 2023, public code), stretched to `steps`.

    Of 17,000 steps the first 2,000 (pre-training) and the next 2,500 have 1; then it is a tenth every 2,500.
    """
    of_theirs = step * 17_000 // steps
    return float(0.1 ** (max(0, of_theirs - 2_000) // 2_500))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "polynomial": polynomial,
    "constant then linear": constant_then_linear,
    "linear over the last tenth": functools.partial(constant_then_linear, falling=0.1),
    "staircase": staircase,
}


def sigmoid_ramp(step: int, steps: int) -> float:
    """exp(-5 (1 - e / 200)^2) with e = step // (steps / 200): the consistency weight of mean teachers (SSL4MIS, MiDSS).

    0.0067 at the start, 1 at the end.
    """
    level = min(_LEVELS, int(step // (steps / _LEVELS)))
    return math.exp(-5.0 * (1.0 - level / _LEVELS) ** 2)
