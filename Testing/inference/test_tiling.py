"""Tiles cover everything, evenly; padding is air; tiles of air are left out."""

import numpy as np
import pytest

from LiverMRISegLib.inference.tiled_network import busy_tiles
from LiverMRISegLib.inference.tiling import importance, pad_to, tile_starts, tiles


def test_starts_are_nnunets():
    assert tile_starts(110, 64, 0.5) == [0, 23, 46]
    assert tile_starts(64, 64, 0.5) == [0]
    assert tile_starts(65, 64, 0.5) == [0, 1]


@pytest.mark.parametrize("shape", [(64, 64, 64), (70, 130, 99), (200, 64, 65)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_every_voxel_is_covered(shape, overlap):
    covered = np.zeros(shape, int)
    for box in tiles(shape, (64, 64, 64), overlap):
        assert covered[box].shape == (64, 64, 64)
        covered[box] += 1
    assert covered.min() >= 1


def test_importance_peaks_in_the_middle_and_is_never_zero():
    weights = importance((16, 24, 32))
    assert np.unravel_index(weights.argmax(), weights.shape) == (8, 12, 16)
    assert weights.max() == pytest.approx(1.0)
    assert weights.min() > 0


def test_padding_is_the_minimum_and_the_box_finds_the_image():
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4) + 5
    padded, box = pad_to(image, (4, 3, 9))
    assert padded.shape == (4, 3, 9)
    assert np.array_equal(padded[box], image)
    assert padded.sum() == pytest.approx(image.sum() + 5 * (padded.size - image.size))


def test_tiles_of_air_are_left_out():
    image = np.random.default_rng(0).uniform(0, 0.01, (8, 8, 64)).astype(np.float32)
    image[2:6, 2:6, 2:6] = 1.0
    boxes = tiles(image.shape, (8, 8, 8), 0.5)
    assert [box[2].start for box in busy_tiles(image, boxes)] == [0, 4]
