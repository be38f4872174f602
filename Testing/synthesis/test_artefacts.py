"""Artefacts: each is what a scanner does, repeatable, and off at probability 0."""

import dataclasses

import pytest
import torch

from helpers.structure_maps import LIVER_VALUE, SPACING, torso
from LiverMRISegLib.synthesis.artefacts import (
    disturbed,
    gapped_slices,
    shifted,
    truncated,
    with_coil,
    with_coil_end,
    with_fat_failure,
    with_ghosts,
    with_motion,
    wrapped,
)
from LiverMRISegLib.synthesis.config import ScannerConfig
from LiverMRISegLib.synthesis.randomness import Random
from LiverMRISegLib.synthesis.structure_maps import Tissue

SEEDS = range(4)
SHAPE = (20, 32, 40)


def square() -> torch.Tensor:
    image = torch.zeros(SHAPE)
    image[5:15, 12:20, 15:25] = 1.0
    return image


@pytest.mark.parametrize("seed", SEEDS)
def test_fat_failure_changes_fat_and_marrow_only(seed):
    structures, image = torso(), torch.full(torso().shape, 0.2)
    after = with_fat_failure(image, structures, Random(seed))
    changed = set(structures[(after - image).abs() > 1e-6].tolist())
    assert changed <= {int(Tissue.SUBCUTANEOUS_FAT), int(Tissue.VISCERAL_FAT), int(Tissue.SKELETON)}
    assert after.max() > 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_coil_sees_one_side_better_and_keeps_the_mean(seed):
    image = torch.ones(SHAPE)
    after = with_coil(image, 0.2, Random(seed))
    sides = [after.mean((0, 2))[[0, -1]], after.mean((0, 1))[[0, -1]]]
    assert max(float(s.max() / s.min()) for s in sides) > 1.15
    assert after.mean() == pytest.approx(1.0, rel=1e-4)
    assert after.min() > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_coil_ends_at_the_dome_or_the_tip_of_the_liver(seed):
    structures = torso()
    after = with_coil_end(torch.ones(structures.shape), structures, SPACING, Random(seed))[:, 0, 0]
    dark, slices = (after < 0.7).nonzero()[:, 0], (structures == LIVER_VALUE).flatten(1).any(1).nonzero()[:, 0]
    assert after[slices].max() > 0.9
    assert 0.1 < after.min() < 0.65
    assert dark[0] > slices[0] + 3 or dark[-1] < slices[-1] - 3  # one end of the liver stays bright


def test_without_a_liver_no_coil_ends():
    image = square()
    assert with_coil_end(image, torch.zeros(SHAPE, dtype=torch.uint8), SPACING, Random(0)) is image


def test_shifts_repeat_the_edge():
    row = torch.arange(4.0)[None, None]
    assert shifted(row, 1, 2).flatten().tolist() == [0, 0, 1, 2]
    assert shifted(row, -2, 2).flatten().tolist() == [2, 3, 3, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_motion_blurs_but_the_most_of_the_signal_stays(seed):
    image = square()
    after = with_motion(image, 3.0, Random(seed))
    assert not torch.equal(after, image)
    assert after[8:12, 14:18, 18:22].min() > 0.5
    assert after[image == 0].max() < 0.5


def test_a_body_moves_either_way():
    places = torch.arange(SHAPE[0])[:, None, None] + torch.arange(SHAPE[1])[:, None]
    image = square()
    moves = [((with_motion(image, 3.0, Random(seed)) - image) * places).sum() for seed in range(12)]
    assert min(moves) < -1
    assert max(moves) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_ghosts_lie_along_one_axis_beside_the_body(seed):
    image = square()
    after = with_ghosts(image, 0.5, Random(seed))
    ghost = (after - image).abs() > 1e-4
    assert ghost.any()
    assert not ghost[:5].any()
    rows, columns = ghost.any(0).any(1), ghost.any(0).any(0)
    along_y = set(columns.nonzero().flatten().tolist()) <= set(range(15, 25))
    along_x = set(rows.nonzero().flatten().tolist()) <= set(range(12, 20))
    assert along_y or along_x
    assert after.min() >= 0


@pytest.mark.parametrize("seed", SEEDS)
def test_truncation_rings_beside_edges_and_keeps_flat_images(seed):
    rung = truncated(square(), (0.5, 0.6), Random(seed))
    assert rung.max() > 1.03
    assert rung[square() == 0].max() > 0.01
    flat = torch.full(SHAPE, 0.7)
    assert torch.allclose(truncated(flat, (0.5, 0.6), Random(seed)), flat, atol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_what_lies_beside_the_field_of_view_folds_over_to_the_other_side(seed):
    image = torch.arange(SHAPE[2]).float().expand(SHAPE).contiguous()
    box = (slice(2, 18), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
    part, narrow = wrapped(image, box, Random(seed))
    assert part.shape == image[narrow].shape
    assert narrow[0] == box[0]
    added = part - image[narrow]
    axis = 1 if narrow[2] == box[2] else 2
    start, stop = narrow[axis].start, narrow[axis].stop
    before, after = start, SHAPE[axis] - stop
    assert (before, after) != (0, 0)
    middle = added.narrow(axis, after, stop - start - before - after)
    assert middle.abs().max() == 0
    if before:
        source = image.narrow(axis, start - before, before)[box[0]]
        target = added.narrow(axis, stop - start - before, before)
        fade = (target.sum() / source.sum()).item()
        assert torch.allclose(target, fade * source, atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_slices_with_gaps_are_fewer_along_one_axis(seed):
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    slices = gapped_slices(image, 3.0, Random(seed), (9.0, 12.0))
    fewer = [a for a in range(3) if slices.shape[a] < SHAPE[a]]
    assert len(fewer) == 1
    assert SHAPE[fewer[0]] / 4 <= slices.shape[fewer[0]] <= SHAPE[fewer[0]] / 3 + 1


def test_slices_with_gaps_miss_what_lies_between_them():
    """A line of one voxel is seen by some slices in full, or not at all; slices that touch would all dim it."""
    image = torch.zeros(24, 8, 8)
    image[10] = 1.0
    made = (gapped_slices(image, 3.0, Random(seed), (12.0, 12.001)) for seed in range(20))
    brightest = {round(float(slices.max()), 2) for slices in made}
    assert 0.0 in brightest or 1.0 in brightest


DISTURBANCES = ("coil", "motion", "ghosting", "truncation")


@pytest.mark.parametrize("name", DISTURBANCES)
def test_every_disturbance_repeats_itself_and_is_off_at_zero(name):
    config = ScannerConfig(**{name: 1.0})
    first, again = (disturbed(square(), SPACING, config, Random(9)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, square())
    image = square()
    assert disturbed(image, SPACING, ScannerConfig(), Random(9)) is image


def test_probabilities_are_zero_by_default():
    names = {f.name for f in dataclasses.fields(ScannerConfig) if f.default == 0.0}
    others = {"fat_failure", "wrap", "slab", "slice_gaps", "nearest_return", "oblique", "coil_end"}
    others |= {"heavy_noise", "clean", "margins", "soft", "jumps"}
    assert names == {*DISTURBANCES, *others}
