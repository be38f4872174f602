"""Images from the CT itself: real edges stay where they are, brightness is that of no CT."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers.structure_maps import LIVER_VALUE, SPLEEN_VALUE, torso
from LiverMRISegLib.synthesis.config import LookConfig, RandomizationConfig
from LiverMRISegLib.synthesis.ct_view import _convolution, ct_view
from LiverMRISegLib.synthesis.painting import paint
from LiverMRISegLib.synthesis.randomness import Random, highest_near, is_inside
from LiverMRISegLib.synthesis.structure_maps import STRUCTURES, Tissue

LEVELS = torch.linspace(0, 1, STRUCTURES)


def ct_of(structures: torch.Tensor) -> torch.Tensor:
    """Each structure at its own grey level, with a vessel in the liver that no label names."""
    levels = torch.full((STRUCTURES,), 120.0)
    levels[[LIVER_VALUE, SPLEEN_VALUE]] = torch.tensor([150.0, 170.0])
    levels[[Tissue.AIR, Tissue.LUNG, Tissue.GAS]] = 0.0
    levels[Tissue.VISCERAL_FAT], levels[Tissue.SUBCUTANEOUS_FAT], levels[Tissue.SKELETON] = 40.0, 45.0, 230.0
    texture = levels[structures.int()]
    texture[23, 17:21, 16:22] = 200.0
    return texture


def view(seed: int) -> torch.Tensor:
    structures = torso()
    return ct_view(structures, ct_of(structures), is_inside(structures), LEVELS, Random(seed))


def test_the_convolution_is_torchs():
    torch.manual_seed(0)
    image, offset = torch.randn(2, 7, 8, 9), torch.randn(3)
    for width in (1, 3):
        weight = torch.randn(3, 2, width, width, width)
        expected = F.conv3d(image[None], weight, offset, padding=width // 2)[0]
        assert torch.allclose(_convolution(image, weight, offset), expected, atol=1e-5)


@pytest.mark.parametrize("reach", [1, 2])
def test_the_highest_value_near_is_that_of_torchs_pooling(reach):
    array = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (9, 10, 11)).astype(np.uint8))
    pooled = F.max_pool3d(array[None, None].float(), 2 * reach + 1, 1, reach)[0, 0]
    assert torch.equal(highest_near(array, reach), pooled.to(torch.uint8))


def test_the_same_seed_gives_the_same_view_and_no_two_are_alike():
    assert torch.equal(view(1), view(1))
    assert not torch.equal(view(1), view(2))


def test_air_lung_and_gas_are_as_dark_as_their_levels_whatever_the_network_makes_of_them():
    structures = torso()
    for seed in range(8):
        for tissue in (Tissue.AIR, Tissue.LUNG, Tissue.GAS):
            assert torch.equal(view(seed)[structures == tissue].unique(), LEVELS[tissue][None])


def test_what_no_label_names_is_seen_in_most_views():
    plain, vessel = (23, 22, 19), (23, 18, 19)
    seen = [abs(float(view(seed)[vessel] - view(seed)[plain])) > 0.02 for seed in range(20)]
    assert sum(seen) >= 15


def test_liver_and_spleen_change_their_order():
    brighter = {bool(view(seed)[23, 22, 19] > view(seed)[23, 24, 42]) for seed in range(20)}
    assert brighter == {True, False}


def test_a_view_is_of_the_ct_and_never_of_a_map_without_one():
    structures = torso()
    painted, viewed = (RandomizationConfig(look=LookConfig(ct_view=p)) for p in (0.0, 1.0))
    without = [paint(structures, None, config, Random(3)) for config in (painted, viewed)]
    assert torch.equal(*without)
    images = [paint(structures, ct_of(structures), config, Random(3)) for config in (painted, viewed)]
    assert not torch.equal(*images)


def test_the_ct_divides_bowel_and_mesentery_by_its_grey_levels():
    structures = torso()
    texture = ct_of(structures)
    inner = structures == Tissue.INNER_SOFT
    texture[:, :22][inner[:, :22]] = 60.0
    plain = {"vessel_probability": 0.0, "lesion_probability": 0.0, "texture": 0.0}
    config = RandomizationConfig(look=LookConfig(ct_clusters=1.0), **plain)
    apart = []
    for seed in range(12):
        image = paint(structures, texture, config, Random(seed))
        front, back = (image[:, half][inner[:, half]] for half in (slice(0, 22), slice(22, None)))
        apart.append(abs(float(front.mean() - back.mean())) > 0.5 * float(front.std() + back.std()))
    assert sum(apart) >= 6
