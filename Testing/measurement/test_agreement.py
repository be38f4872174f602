"""The library's one Dice."""

import numpy as np
import pytest

from LiverMRISegLib.measurement.agreement import dice, dice_per_label


def test_dice_of_masks():
    first = np.array([True, True, False, False])
    assert dice(first, first) == 1
    assert dice(first, ~first) == 0
    assert dice(first, np.array([True, False, False, False])) == pytest.approx(2 / 3)
    assert dice(first & False, first & False) == 1


def test_dice_of_labels():
    first, second = np.array([0, 1, 1, 2], np.uint8), np.array([0, 1, 2, 2], np.uint8)
    assert dice_per_label(first, second, [1, 2, 3]) == pytest.approx({1: 2 / 3, 2: 2 / 3})


def test_it_is_monais():
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    first, second = (np.random.default_rng(seed).random((7, 8, 9)) > 0.5 for seed in (1, 2))
    tensors = (torch.from_numpy(mask)[None, None].float() for mask in (first, second))
    assert dice(first, second) == pytest.approx(float(metrics.compute_dice(*tensors)), abs=1e-6)
