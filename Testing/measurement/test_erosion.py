"""Erosion in mm against the distance computed point by point."""

from __future__ import annotations

import numpy as np
import pytest

from LiverMRISegLib.measurement.erosion import eroded


def by_definition(mask, spacing, depth):
    """Every voxel's distance to every other one's box."""
    inside, outside = np.argwhere(mask), np.argwhere(~mask)
    apart = np.maximum(np.abs(inside[:, None] - outside[None]) - 0.5, 0) * np.array(spacing)
    kept = np.zeros_like(mask)
    kept[tuple(inside.T)] = np.sqrt((apart**2).sum(-1)).min(1) >= depth - 1e-3
    return kept


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (7.7, 1.25, 1.25), (2.0, 3.1, 0.9)])
@pytest.mark.parametrize("depth", [0.5, 1.5, 3.0, 4.2])
def test_it_is_the_distance_to_the_nearest_voxel_outside(spacing, depth):
    mask = np.random.default_rng(0).random((7, 9, 11)) > 0.02
    mask[:, :, 0] = False
    assert np.array_equal(eroded(mask, spacing, depth), by_definition(mask, spacing, depth))


def test_layers_of_a_block():
    mask = np.zeros((9, 15, 15), bool)
    mask[1:-1, 1:-1, 1:-1] = True
    assert eroded(mask, (3.0, 1.0, 1.0), 3.0).sum() == 5 * 7 * 7
    assert eroded(mask, (3.0, 1.0, 1.0), 1.0).sum() == 7 * 11 * 11
    assert not eroded(mask, (3.0, 1.0, 1.0), 30.0).any()


def test_nothing_is_eroded_from_the_edge_of_the_volume():
    assert eroded(np.ones((3, 4, 5), bool), (1.0, 1.0, 1.0), 2.0).all()
