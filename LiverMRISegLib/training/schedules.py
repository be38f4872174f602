"""Weights and learning rates as functions of the step."""

from __future__ import annotations

import math


def polynomial(step: int, steps: int, power: float = 0.9) -> float:
    """1 at the start, 0 at the end (nnU-Net's polynomial schedule)."""
    return max(0.0, 1.0 - step / steps) ** power


def constant_then_linear(step: int, steps: int) -> float:
    """1 over the first half, then straight down to 0 at the end (CycleGAN's schedule)."""
    return min(1.0, max(0.0, 2.0 * (1.0 - step / steps)))


SCHEDULES = {"polynomial": polynomial, "constant then linear": constant_then_linear}


def sigmoid_ramp(step: int, steps: int, levels: int = 200) -> float:
    """exp(-5 (1 - e / levels)^2) with e = step // (steps / levels): the consistency weight of mean teachers.

    With 30,000 steps and 200 levels: 0.0067 at the start, 1 at the end (SSL4MIS, MiDSS).
    """
    level = min(levels, int(step // (steps / levels)))
    return math.exp(-5.0 * (1.0 - level / levels) ** 2)
