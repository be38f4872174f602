"""Changed anatomy: each addition does what it says to the structure map, and spares what is not its own."""

import dataclasses

import pytest
import torch

from helpers.structure_maps import (
    GALLBLADDER_VALUE,
    LEFT_VALUE,
    LIVER_VALUE,
    RIGHT_VALUE,
    SPACING,
    SPLEEN_VALUE,
    STOMACH_VALUE,
    torso,
)
from LiverMRISegLib.synthesis.anatomy import (
    breathed,
    change_anatomy,
    filled_as,
    grown,
    moved_border,
    nodular,
    resected,
    with_ascites,
)
from LiverMRISegLib.synthesis.chest import with_chest, with_spine
from LiverMRISegLib.synthesis.config import AnatomyConfig
from LiverMRISegLib.synthesis.randomness import Random
from LiverMRISegLib.synthesis.structure_maps import Tissue
from LiverMRISegLib.synthesis.surroundings import with_background, with_bowel_gas, with_outer_layers

SEEDS = range(4)
ORGANS = (LIVER_VALUE, SPLEEN_VALUE, RIGHT_VALUE, LEFT_VALUE, STOMACH_VALUE, GALLBLADDER_VALUE)


def count(structures, value):
    return int((structures == value).sum())


def others_are_the_same(before, after, *changed):
    return all(torch.equal(before == v, after == v) for v in ORGANS if v not in changed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_resected_liver_is_cut_off_on_one_side(seed):
    before = torso()
    after = resected(before, (0.3, 0.3), Random(seed))
    old, new = before == LIVER_VALUE, after == LIVER_VALUE
    assert 0.6 < new.sum() / old.sum() < 0.8
    assert not (new & ~old).any()
    assert set(after[old & ~new].tolist()) <= {int(Tissue.INNER_SOFT), int(Tissue.VISCERAL_FAT)}
    assert others_are_the_same(before, after, LIVER_VALUE, GALLBLADDER_VALUE)
    # What is gone lies together on one side of what is left: far apart, as no scattered third would be.
    gone = (old & ~new).nonzero().float().mean(0)
    left = new.nonzero().float().mean(0)
    assert (gone - left).norm() > 4


def test_a_grown_liver_takes_fat_and_bowel_alone():
    before = torso()
    old = before == LIVER_VALUE
    added = torch.zeros_like(old)
    for seed in range(12):
        after = grown(before, 15.0, Random(seed))
        new = after == LIVER_VALUE
        assert not (old & ~new).any()
        assert new.sum() < 2.5 * old.sum()
        assert others_are_the_same(before, after, LIVER_VALUE)
        added |= new & ~old
    giving_way = (Tissue.VISCERAL_FAT, Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT, Tissue.GAS)
    assert set(before[added].tolist()) <= {int(t) for t in giving_way}
    # Down or to the patient's left (z grows to superior, x to the left), not up and to the right.
    way = added.nonzero().float().mean(0) - old.nonzero().float().mean(0)
    assert way[0] < 0 < way[2]


@pytest.mark.parametrize("value", [LIVER_VALUE, SPLEEN_VALUE, RIGHT_VALUE])
def test_borders_move_out_and_in(value):
    before = torso()
    larger = moved_border(before, value, 1.0, 0.0, 10.0, Random(0))
    smaller = moved_border(before, value, -1.0, 0.0, 10.0, Random(0))
    assert count(larger, value) > 1.15 * count(before, value)
    if value == RIGHT_VALUE:  # nowhere five voxels thick in this small body: it would be gone
        assert count(smaller, value) == count(before, value)
    else:
        assert count(smaller, value) < 0.85 * count(before, value)
    assert not ((smaller == value) & (before != value)).any()
    for after in (larger, smaller):
        assert others_are_the_same(before, after, value)
        for bone in (Tissue.SKELETON, Tissue.AIR):
            assert not ((after == value) & (before == bone)).any()


@pytest.mark.parametrize(
    "change", [with_ascites, nodular, lambda s, d, r: moved_border(s, LIVER_VALUE, -d, 0.0, 9.0, r)]
)
def test_thin_parts_of_the_liver_stay(change):
    """A left lobe three voxels thick yields to nothing; the lobe that is thick does."""
    before = torch.full((30, 30, 40), int(Tissue.VISCERAL_FAT), dtype=torch.uint8)
    before[5:25, 5:25, 4:18] = LIVER_VALUE
    before[8:20, 8:11, 24:36] = LIVER_VALUE
    after = [change(before, 2.0, Random(seed)) for seed in range(6)]
    assert all((a[8:20, 8:11, 24:36] == LIVER_VALUE).all() for a in after)
    assert any((a[5:25, 5:25, 4:18] != LIVER_VALUE).any() for a in after)


def test_a_border_that_does_not_move_stays():
    before = torso()
    assert torch.equal(moved_border(before, LIVER_VALUE, 0.0, 0.0, 10.0, Random(0)), before)


def test_a_border_left_behind_is_taken_by_the_tissue_beside_it():
    before = torso()
    after = moved_border(before, SPLEEN_VALUE, -1.0, 0.0, 10.0, Random(0))
    lost = (before == SPLEEN_VALUE) & (after != SPLEEN_VALUE)
    assert lost.any()
    assert (after[lost] >= Tissue.SUBCUTANEOUS_FAT).all()


def test_a_nodular_liver_has_more_surface():
    def surface(s):
        liver = s == LIVER_VALUE
        return sum(int((liver.diff(dim=a) != 0).sum()) for a in range(3)) / int(liver.sum()) ** (2 / 3)

    before = torso()
    after = nodular(before, 1.0, Random(1))
    assert surface(after) > 1.05 * surface(before)
    assert 0.8 < count(after, LIVER_VALUE) / count(before, LIVER_VALUE) < 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_ascites_lies_around_liver_and_spleen_only(seed):
    before = torso()
    after = with_ascites(before, 3.0, Random(seed))
    fluid = after == Tissue.FLUID
    assert fluid.any()
    assert torch.equal(after[~fluid], before[~fluid])
    allowed = {LIVER_VALUE, SPLEEN_VALUE, int(Tissue.INNER_SOFT), int(Tissue.VISCERAL_FAT)}
    assert set(before[fluid].tolist()) <= allowed
    organs = ((before == LIVER_VALUE) | (before == SPLEEN_VALUE)).float()[None, None]
    near = torch.nn.functional.max_pool3d(organs, 9, 1, 4)[0, 0] > 0
    assert not (fluid & ~near).any()
    assert count(after, LIVER_VALUE) > 0.7 * count(before, LIVER_VALUE)


def test_gas_and_content_change_places_outside_the_organs():
    before = torso()
    after = [with_bowel_gas(before, SPACING, Random(seed)) for seed in range(8)]
    assert all(others_are_the_same(before, a) for a in after)
    assert any(count(a, Tissue.GAS) > count(before, Tissue.GAS) for a in after)
    assert any(((before == Tissue.GAS) & (a != Tissue.GAS)).any() for a in after)


def test_unknown_tissue_gets_shapes_and_organs_stay():
    before = torso()
    after = with_background(before, SPACING, Random(0))
    assert others_are_the_same(before, after)
    changed = before != after
    assert changed.any()
    assert set(before[changed].tolist()) <= {int(Tissue.INNER_SOFT), int(Tissue.WALL_MUSCLE)}


def test_outer_layers_replace_air_only():
    before = torso()
    after = [with_outer_layers(before, SPACING, Random(seed)) for seed in SEEDS]
    for a in after:
        inside = before != Tissue.AIR
        assert torch.equal(a[inside], before[inside])
        assert count(a, Tissue.AIR) < count(before, Tissue.AIR)
    assert any(((before == Tissue.AIR) & (a == Tissue.SKELETON)).any() for a in after)


def test_the_spine_gets_discs_and_a_canal_behind_it():
    before = torso()
    after = with_spine(before, SPACING, Random(0))
    assert others_are_the_same(before, after)
    discs, canal = after == Tissue.DISC, after == Tissue.FLUID
    assert discs.any()
    assert canal.any()
    assert canal.nonzero()[:, 1].float().mean() > discs.nonzero()[:, 1].float().mean()
    levels = discs.any(2).any(1)
    assert 3 <= int((levels[1:] & ~levels[:-1]).sum()) <= 9


def test_without_bone_there_is_no_spine():
    before = torso()
    before[before == Tissue.SKELETON] = Tissue.INNER_SOFT
    assert torch.equal(with_spine(before, SPACING, Random(0)), before)


def test_the_chest_gets_a_heart_and_at_times_fluid():
    before = torso()
    after = [with_chest(before, SPACING, Random(seed)) for seed in range(8)]
    lowest_lung = int((before == Tissue.LUNG).any(2).any(1).nonzero()[0])
    for a in after:
        assert others_are_the_same(before, a)
        heart = (a == Tissue.HEART).nonzero()
        assert len(heart)
        assert int(heart[:, 0].min()) >= lowest_lung
    assert any(count(a, Tissue.LUNG) < count(before, Tissue.LUNG) for a in after)


def test_a_heart_between_lungs_is_heart_though_it_counts_as_wall():
    before = torso()
    middle = (slice(32, None), slice(14, 24), slice(24, 32))
    before[middle] = Tissue.WALL_MUSCLE
    heart = with_chest(before, SPACING, Random(0))[middle] == Tissue.HEART
    assert heart.float().mean() > 0.2


def test_a_body_without_lungs_gets_them_above_its_organs():
    before = torso()
    before[before == Tissue.LUNG] = Tissue.INNER_SOFT
    after = with_chest(before, SPACING, Random(0))
    lung = after == Tissue.LUNG
    assert lung.any()
    assert others_are_the_same(before, after)
    assert lung.nonzero()[:, 0].float().mean() > (before == LIVER_VALUE).nonzero()[:, 0].float().mean()


def test_breath_shifts_structures_and_texture_alike_and_within_their_slice():
    before = torso()
    texture = before.float() * 3
    after, moved = breathed(before, texture, 3.0, Random(0))
    assert torch.equal(moved, after.float() * 3)
    assert not torch.equal(after, before)
    counts = [(s == LIVER_VALUE).sum((1, 2)) for s in (before, after)]
    assert torch.equal(*counts)


def test_texture_of_what_was_there_does_not_shine_through():
    structures, texture = torso(), torso().float() * 5
    texture[structures == LIVER_VALUE] = 250.0
    config = AnatomyConfig(resection=1.0)
    after, levelled = change_anatomy(structures, texture, SPACING, config, Random(0))
    gone = (structures == LIVER_VALUE) & (after != LIVER_VALUE)
    assert levelled[gone].max() < 200
    assert torch.equal(levelled[after == structures], texture[after == structures])


def test_filling_is_of_the_other_body_and_the_rest_is_ones_own():
    own, other = torso(), torso().flip(2)
    after, texture = filled_as((own, None), (other, None))
    assert texture is None
    loose = {int(t) for t in (Tissue.VISCERAL_FAT, Tissue.INNER_SOFT, Tissue.BRIGHT_CONTENT, Tissue.GAS)}
    own_loose, other_loose = (torch.tensor([v in loose for v in range(32)])[s.int()] for s in (own, other))
    assert torch.equal(after[~own_loose], own[~own_loose])
    assert torch.equal(after[own_loose & other_loose], other[own_loose & other_loose])
    assert (after[own_loose & ~other_loose] == Tissue.VISCERAL_FAT).all()
    assert (own_loose & ~other_loose).any()


def test_texture_comes_with_the_filling_and_shows_no_organ_of_the_other_body():
    own, other = torso(), torso().flip(2)
    mine, theirs = own.float(), 100 + other.float()
    theirs[other == LIVER_VALUE] = 250.0
    after, texture = filled_as((own, mine), (other, theirs))
    kept = (own == after) & (own == LIVER_VALUE)
    assert torch.equal(texture[kept], mine[kept])
    soft = (after == Tissue.INNER_SOFT) & (own == Tissue.GAS)
    assert torch.equal(texture[soft], theirs[soft])
    assert texture.max() < 200
    _, levelled = filled_as((own, mine), (other, None))
    assert torch.equal(levelled[after == own], mine[after == own])


@pytest.mark.parametrize(
    "name",
    [
        f.name
        for f in dataclasses.fields(AnatomyConfig)
        if f.default == 0.0 and f.name not in ("filling", "taller")  # take whole bodies
    ],
)
def test_every_addition_repeats_itself_and_keeps_right_and_left_apart(name):
    before = torso()
    config = AnatomyConfig(**{name: 1.0})
    first, _ = change_anatomy(before, None, SPACING, config, Random(5))
    again, _ = change_anatomy(before, None, SPACING, config, Random(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, before)
    middle = before.shape[2] // 2
    assert not (first[..., middle:] == RIGHT_VALUE).any()
    assert not (first[..., :middle] == LEFT_VALUE).any()
    assert not (first == Tissue.UNCERTAIN).any()


def test_all_off_gives_the_very_map():
    before = torso()
    after, texture = change_anatomy(before, None, SPACING, AnatomyConfig(), Random(0))
    assert after is before
    assert texture is None
