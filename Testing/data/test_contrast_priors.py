"""Contrast priors: in range, kidneys alike, and what the families say holds on average."""

import numpy as np

from LiverMRISegLib.data.bodies import STRUCTURES, Tissue
from LiverMRISegLib.data.contrast_priors import FAMILIES, draw_contrast


def test_contrasts_are_in_range_and_vary():
    drawn = np.array([draw_contrast(np.random.default_rng(seed)) for seed in range(300)])
    assert drawn.shape == (300, STRUCTURES)
    assert drawn.min() >= 0.01
    assert drawn.max() <= 1.0
    assert np.all(drawn.std(0)[1:15] > 0.05)
    assert np.abs(drawn[:, 2] - drawn[:, 3]).max() < 1e-9


def test_muscle_is_darker_than_fluid():
    drawn = np.array([draw_contrast(np.random.default_rng(seed)) for seed in range(300)])
    assert np.mean(drawn[:, Tissue.WALL_MUSCLE] < drawn[:, 10]) > 0.6
    assert all(0 <= family.liver <= 1 for family in FAMILIES)
