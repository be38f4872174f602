"""The look of organs and diseases: painted where it belongs, and only there."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.structure_maps import LEFT_VALUE, LIVER_VALUE, RIGHT_VALUE, SPACING, STOMACH_VALUE, torso
from LiverMRISegLib.synthesis.config import LookConfig
from LiverMRISegLib.synthesis.lesions import paint_lesion, with_focal_lesions
from LiverMRISegLib.synthesis.look import (
    PARCELLED,
    change_contrast,
    change_look,
    isointense,
    with_calm_bowel,
    with_iron,
    with_kidney_pattern,
    with_liver_like_neighbours,
    with_lung_vessels,
    with_organ_texture,
    with_stomach_level,
)
from LiverMRISegLib.synthesis.randomness import Random
from LiverMRISegLib.synthesis.structure_maps import STRUCTURES, Tissue
from LiverMRISegLib.synthesis.vessels import drawn, grow, with_vessel_trees

SEEDS = range(4)


def flat(level=0.5):
    return torch.full(torso().shape, level)


def changed_structures(image, before):
    return set(torso()[image != before].tolist())


@pytest.mark.parametrize("seed", SEEDS)
def test_iron_makes_the_liver_about_as_dark_as_muscle_or_darker(seed):
    means = np.random.default_rng(seed).uniform(0.2, 1, (9, STRUCTURES))
    dark = with_iron(means, Random(seed))
    assert (dark[:, LIVER_VALUE] <= 1.4 * means[0, Tissue.WALL_MUSCLE]).all()
    assert np.array_equal(dark[:, RIGHT_VALUE], means[:, RIGHT_VALUE])


@pytest.mark.parametrize("seed", SEEDS)
def test_an_isointense_liver_is_as_bright_as_a_neighbour(seed):
    means = np.random.default_rng(seed).uniform(0.2, 1, (9, STRUCTURES))
    alike = isointense(means, Random(seed))
    neighbours = means[0, [Tissue.WALL_MUSCLE, Tissue.INNER_SOFT, Tissue.VISCERAL_FAT]]
    assert np.abs(neighbours - alike[0, LIVER_VALUE]).min() < 0.15


def test_neighbours_become_nearly_as_bright_as_the_liver_which_stays_as_it_is():
    changed = set()
    for seed in range(12):
        means = np.random.default_rng(seed).uniform(0.2, 0.8, (9, STRUCTURES))
        alike = with_liver_like_neighbours(means, Random(seed))
        own = {int(value) for value in np.flatnonzero((alike != means).any(axis=0))}
        ratio = alike[:, sorted(own)] / means[0, LIVER_VALUE]
        assert ((ratio >= 0.7) & (ratio <= 1.15)).all()
        changed |= own
    assert {int(Tissue.INNER_SOFT), int(Tissue.HEART), STOMACH_VALUE} <= changed
    assert not changed & {LIVER_VALUE, RIGHT_VALUE, LEFT_VALUE, int(Tissue.WALL_MUSCLE)}


def test_calm_bowel_stays_dark_in_a_dark_sequence_and_its_parcels_differ():
    means = np.random.default_rng(0).uniform(0.2, 1, (9, STRUCTURES))
    means[0, list(PARCELLED)] = 0.1
    calm = with_calm_bowel(means, Random(0))
    assert calm[1:, list(PARCELLED)].max() < 0.35
    assert np.ptp(calm[1:, Tissue.INNER_SOFT]) > 0.02
    others = [i for i in range(STRUCTURES) if i not in PARCELLED]
    assert np.array_equal(calm[:, others], means[:, others])
    assert np.array_equal(calm[0], means[0])


def test_kidneys_get_the_same_pattern_and_nothing_else_does():
    image = flat()
    after = with_kidney_pattern(image, torso(), Random(0))
    assert changed_structures(after, image) <= {RIGHT_VALUE, LEFT_VALUE}
    right, left = (after[torso() == v].unique() for v in (RIGHT_VALUE, LEFT_VALUE))
    assert len(right) > 1
    assert np.isin(right.numpy().round(4), left.numpy().round(4)).any()


def test_texture_spares_air_and_is_stronger_in_the_liver_than_its_mean_is_moved():
    image = flat()
    after = with_organ_texture(image, torso(), SPACING, 0.5, Random(1))
    assert Tissue.AIR not in changed_structures(after, image)
    liver = after[torso() == LIVER_VALUE]
    assert liver.std() > 0.01


def test_trees_branch_within_the_liver():
    image = flat()
    after = with_vessel_trees(image, torso(), SPACING, Random(2))
    assert changed_structures(after, image) == {LIVER_VALUE}
    share = ((after != image) & (torso() == LIVER_VALUE)).sum() / (torso() == LIVER_VALUE).sum()
    assert 0.005 < share < 0.6


def test_a_tree_grows_thinner_from_its_root():
    points, radii = grow(np.zeros(3), 1.5, Random(0))
    distance = np.linalg.norm(points, axis=1)
    assert radii[distance < 1.5].mean() > radii[distance > 8].mean()
    assert len(points) == len(radii) > 36


def test_tubes_are_drawn_where_their_points_are():
    share = drawn(np.array([[5.0, 5.0, 5.0], [-9.0, 0.0, 0.0]]), np.array([1.0, 1.0]), torch.Size((10, 10, 10)))
    assert share[5, 5, 5] == 1
    assert share[5, 5, 6] == 0.5
    assert share.sum() < 10


def test_thin_tubes_are_fainter():
    thin = drawn(np.array([[5.0, 5.0, 5.0]]), np.array([0.25]), torch.Size((10, 10, 10)))
    assert 0 < thin.max() < 0.5


@pytest.mark.parametrize("seed", range(8))
def test_lesions_stay_in_one_organ(seed):
    image = flat()
    after = with_focal_lesions(image, torso(), SPACING, Random(seed))
    assert len(changed_structures(after, image)) <= 1
    assert after.min() >= 0
    assert after.max() <= 1


def test_layered_lesions_have_a_rim_of_their_own():
    organ = torch.ones(30, 30, 30, dtype=torch.bool)
    differ = []
    for seed in range(6):
        image = torch.full((30, 30, 30), 0.5)
        paint_lesion(image, organ, (15, 15, 15), 8.0, 0.1, Random(seed), layered=True)
        row = image[15, 15]
        assert row[0] == row[-1] == 0.5
        differ.append(len(torch.unique(row.round(decimals=1))) >= 3)
    assert sum(differ) >= 3


def test_a_lesion_beyond_the_image_is_left_out():
    image = flat()
    paint_lesion(image, torso() == LIVER_VALUE, (-50.0, 5.0, 900.0), 2.0, 0.1, Random(0))
    assert torch.equal(image, flat())


def test_gas_lies_in_front_of_the_stomachs_content():
    image = flat()
    found = False
    for seed in range(12):
        after = with_stomach_level(image, torso(), Random(seed))
        assert changed_structures(after, image) <= {STOMACH_VALUE}
        values = after[after != image].unique()
        if len(values) == 2:
            found = True
            gas = (after == values.min()).nonzero()[:, 1].float().mean()
            assert values.min() > 0.08 or gas < (after == values.max()).nonzero()[:, 1].float().mean()
    assert found


def test_lungs_get_bright_threads():
    image = flat(0.1)
    after = with_lung_vessels(image, torso(), Random(0))
    assert changed_structures(after, image) == {int(Tissue.LUNG)}
    assert (after >= image).all()


def test_nothing_happens_where_an_organ_is_not_seen():
    empty, image = torch.zeros_like(torso()), flat()
    config = LookConfig(**dict.fromkeys(PROBABILITIES, 1.0))
    after = change_look(image, empty, SPACING, config, Random(0))
    assert torch.equal(after, image)


# Those of the CT are `painting`'s.
PROBABILITIES = [f.name for f in dataclasses.fields(LookConfig) if f.default == 0.0 and not f.name.startswith("ct_")]


@pytest.mark.parametrize("name", PROBABILITIES)
def test_every_addition_repeats_itself_and_is_off_at_zero(name):
    structures, image = torso(), flat()
    means = np.random.default_rng(0).uniform(0.2, 1, (9, STRUCTURES))
    config = LookConfig(**{name: 1.0})
    looks = [change_look(image, structures, SPACING, config, Random(5)) for _ in range(2)]
    contrasts = [change_contrast(means, config, Random(5)) for _ in range(2)]
    assert torch.equal(*looks)
    assert np.array_equal(*contrasts)
    assert not torch.equal(looks[0], image) or not np.array_equal(contrasts[0], means)
    assert change_look(image, structures, SPACING, LookConfig(), Random(5)) is image
    assert change_contrast(means, LookConfig(), Random(5)) is means


def test_vessels_stand_out_alike_from_dark_and_bright_livers():
    dark, bright = (torch.full(torso().shape, level) for level in (0.1, 0.4))
    drawn_dark, drawn_bright = (with_vessel_trees(i, torso(), SPACING, Random(2)) for i in (dark, bright))
    assert not torch.equal(drawn_dark, dark)
    assert torch.allclose(drawn_dark * 4, drawn_bright, atol=1e-5)
