"""Contrast priors: in range, kidneys alike, and what the families say holds on average."""

import numpy as np

from LiverMRISegLib.synthesis.contrast_priors import FAMILIES, draw_contrast
from LiverMRISegLib.synthesis.structure_maps import STRUCTURES, Tissue


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


def test_a_relative_spread_keeps_the_order_of_dark_tissues():
    def darker_fat(*spread):
        drawn = np.array([draw_contrast(np.random.default_rng(seed), *spread) for seed in range(300)])
        suppressed = drawn[drawn[:, Tissue.SUBCUTANEOUS_FAT] < 0.3]
        return np.mean(suppressed[:, Tissue.VISCERAL_FAT] < suppressed[:, 1])

    assert darker_fat(0.02, 0.15) > darker_fat(0.1, 0.0) + 0.03
