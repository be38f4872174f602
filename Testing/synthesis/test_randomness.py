"""Means of neighbours: those of plain counting, also in parts of an image that are thinner than the window."""

import itertools

import numpy as np
import pytest
import torch

from LiverMRISegLib.anatomy import LIVER, RIGHT_KIDNEY, STOMACH
from LiverMRISegLib.synthesis.config import LookConfig, RandomizationConfig, ScannerConfig
from LiverMRISegLib.synthesis.look import change_look
from LiverMRISegLib.synthesis.randomness import Random, box_mean
from LiverMRISegLib.synthesis.scanner import acquire
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES


def counted(array: np.ndarray, width: int) -> np.ndarray:
    found, half = np.zeros(array.shape), width // 2
    for place in itertools.product(*(range(n) for n in array.shape)):
        near = tuple(slice(max(0, p - half), p + half + 1) for p in place)
        found[place] = array[near].mean()
    return found


@pytest.mark.parametrize("shape", [(6, 7, 8), (9, 12, 4), (1, 2, 3), (2, 1, 9), (1, 1, 1)])
@pytest.mark.parametrize("width", [3, 5, 9])
def test_the_mean_of_a_box_is_cut_at_the_edges(shape, width):
    array = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert np.allclose(box_mean(array, width).numpy(), counted(array.numpy(), width), atol=1e-5)


@pytest.mark.parametrize("thickness", [1, 2, 3])
@pytest.mark.parametrize("organ", [RIGHT_KIDNEY, LIVER, STOMACH])
def test_organs_of_which_the_patch_shows_the_rim_alone_are_painted(organ, thickness):
    structures = torch.zeros((16, 16, 16), dtype=torch.uint8)
    structures[4:12, 4:12, -thickness:] = ORGAN_VALUES.value_of(organ)
    everything = LookConfig(kidney_pattern=1.0, vessel_trees=1.0, stomach_level=1.0, organ_texture=1.0)
    for seed in range(4):
        assert change_look(torch.ones(16, 16, 16), structures, 3.0, everything, Random(seed)).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 8, 8), (16, 2, 16)])
def test_thin_parts_of_a_patch_are_scanned(shape):
    config = RandomizationConfig(patch=(16, 16, 16), spacing=3.0, scanner=ScannerConfig(soft=1.0))
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    for seed in range(4):
        found = acquire(image, config, Random(seed))
        assert found.shape == image.shape
        assert found.isfinite().all()
