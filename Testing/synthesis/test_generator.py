"""Images from label maps: repeatable, aligned with their labels, and unlike each other."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.structure_maps import body as torso_body
from helpers.structure_maps import label_map
from LiverMRISegLib.anatomy import CHAOS, IGNORE, LIVER
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.synthesis import anatomy, artefacts, scanner
from LiverMRISegLib.synthesis.config import AnatomyConfig, LookConfig, RandomizationConfig, ScannerConfig
from LiverMRISegLib.synthesis.generator import ImageMaker, sample_space
from LiverMRISegLib.synthesis.painting import _ct_texture
from LiverMRISegLib.synthesis.randomness import Random, is_inside
from LiverMRISegLib.synthesis.scanner import jumped
from LiverMRISegLib.synthesis.structure_maps import ORGAN_VALUES, StructureMap, Tissue, make_structure_map

CONFIG = RandomizationConfig(patch=(32, 48, 48), spacing=6.0)
PREPARATION = PreparationSpec((6.0, 6.0, 6.0), normalisation="percentile-z-score")


def make(body, seed=0, organs=("liver", "right kidney")):
    return ImageMaker(organs, CONFIG, PREPARATION).make(body, seed)


def test_the_texture_of_a_ct_draws_no_seam_where_structures_meet():
    structures = torch.zeros((8, 8, 8), dtype=torch.uint8)
    structures[:, :, :4], structures[:, :, 4:] = 1, 4
    texture = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (8, 8, 8))).float()
    drawn = _ct_texture(structures, texture, is_inside(structures), CONFIG, Random(0))
    assert (drawn[:, :, 3:5] == 0).all()
    assert (drawn[:, :, :3] != 0).any()
    assert (drawn[:, :, 5:] != 0).any()


def test_same_seed_same_sample_and_other_seed_another():
    body = make_structure_map("b", label_map(), CHAOS, spacing=6.0)
    first, again, other = make(body, 3), make(body, 3), make(body, 4)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


def test_samples_are_normalised_and_hold_only_the_chosen_organs():
    body = make_structure_map("b", label_map(), CHAOS, spacing=6.0)
    samples = [make(body, seed, organs=("right kidney",)) for seed in range(5)]
    assert all(set(np.unique(s.labels)) <= {0, 1} for s in samples)
    assert any(np.any(s.labels == 1) for s in samples)
    for sample in samples:
        assert sample.image.dtype == np.float32
        assert np.isfinite(sample.image).all()
        assert sample.image.shape == CONFIG.patch


def test_uncertain_labels_are_painted_but_not_used_as_truth():
    body = make_structure_map("b", label_map(), CHAOS, spacing=6.0, tissues={2: Tissue.UNCERTAIN})
    assert any(np.any(make(body, seed).labels == IGNORE) for seed in range(3))


@pytest.mark.parametrize("seed", range(6))
def test_edges_in_the_image_lie_where_the_labels_change(seed):
    """Right and left never part ways: the intensity differs between inside and just outside more than within."""
    body = make_structure_map("b", label_map(), CHAOS, spacing=6.0)
    plain = RandomizationConfig(
        patch=(32, 48, 48), spacing=6.0, bias=0.0, noise=0.0, texture=0.0, thick_probability=0.0,
        lesion_probability=0.0, vessel_probability=0.0, crop_probability=0.0,
    )  # fmt: skip
    sample = ImageMaker(("liver",), plain, PREPARATION).make(body, seed)
    liver = sample.labels == 1
    if liver.sum() < 200:
        pytest.skip("this patch shows little liver")
    inside = sample.image[liver]
    step = np.abs(np.diff(sample.image, axis=2))
    border = liver[:, :, 1:] != liver[:, :, :-1]
    flat = liver[:, :, 1:] & liver[:, :, :-1]
    assert np.isfinite(inside).all()
    assert step[border].mean() > 1.5 * step[flat].mean()


ROOMS = {"anatomy": AnatomyConfig, "look": LookConfig, "scanner": ScannerConfig}
ADDITIONS = [(r, f.name) for r, kind in ROOMS.items() for f in dataclasses.fields(kind) if f.default == 0.0]
PAINTED_ONLY = {"fat_failure", "coil", "motion", "ghosting", "truncation", "slice_gaps", "nearest_return"}
PAINTED_ONLY |= {"coil_end", "heavy_noise", "clean", "margins", "soft"}


def made_with(room, name, probability, seed=7, *, with_texture=True):
    far = {"breath": {"breath_shift": 24.0}}.get(name, {})
    additions = {room: ROOMS[room](**{name: probability}, **far)}
    config = dataclasses.replace(CONFIG, crop_probability=0.0, in_plane_crop_probability=0.0, **additions)
    organs = ("liver", "right kidney", "left kidney", "spleen")
    return ImageMaker(organs, config, PREPARATION).make(torso_body(with_texture=with_texture), seed)


@pytest.mark.parametrize(("room", "name"), ADDITIONS)
def test_an_addition_is_repeatable_and_off_at_zero(room, name, monkeypatch):
    monkeypatch.setattr(anatomy, "_GROWTH_REACH", 120.0)
    for seed in range(7, 12):  # some change nothing: the body need not have the tissue they choose, nor slices be thick
        without, on, again = (
            made_with(room, name, p, seed, with_texture=name != "background") for p in (0.0, 1.0, 1.0)
        )
        assert np.array_equal(on.image, again.image)
        assert np.array_equal(on.labels, again.labels)
        if room == "look" or name in PAINTED_ONLY:
            assert np.array_equal(on.labels, without.labels)
        if not np.array_equal(on.image, without.image):
            return
    pytest.fail(f"{name} changes no image")


def test_clean_air_is_nothing():
    def share_of_nothing(probability):
        images = [made_with("scanner", "clean", probability, seed).image for seed in range(7, 11)]
        return np.mean([image < image.min() + 0.003 * np.ptp(image) for image in images])

    assert share_of_nothing(1.0) > 2 * share_of_nothing(0.0)


def test_with_margins_the_patch_is_normalised_as_part_of_a_volume_with_air():
    """More air brings the mean down to it: the darkest is nearer to 0, and contrast is the same."""
    alone, within = (made_with("scanner", "margins", probability, seed=9).image for probability in (0.0, 1.0))
    assert within.min() > alone.min()
    assert np.corrcoef(alone.ravel(), within.ravel())[0, 1] > 0.999


def test_filling_is_of_one_of_the_others():
    """A body of gas fills the sample otherwise than the sample's own body does; labels stay."""
    structures = torso_body().structures
    gas = StructureMap("gas", np.full_like(structures, Tissue.GAS), None, CONFIG.spacing)
    config = dataclasses.replace(CONFIG, anatomy=AnatomyConfig(filling=1.0))
    organs = ("liver", "right kidney")
    alone, filled = (ImageMaker(organs, config, PREPARATION, others).make(torso_body(), 7) for others in ((), (gas,)))
    assert np.array_equal(alone.labels, filled.labels)
    assert not np.array_equal(alone.image, filled.image)


def test_jumping_slices_take_their_labels_along(monkeypatch):
    monkeypatch.setattr(artefacts, "_JUMP", 12.0)
    monkeypatch.setattr(artefacts, "_JUMP_THICKNESS", (12.0, 12.0))
    config = dataclasses.replace(CONFIG, patch=(40, 44, 56), crop_probability=0.0, in_plane_crop_probability=0.0)
    jumping = dataclasses.replace(config, scanner=ScannerConfig(jumps=1.0))

    def unevenness(made_as):
        changes = []
        for seed in range(6):
            labels = ImageMaker(("liver",), made_as, PREPARATION).make(torso_body(), seed).labels
            area = (labels == 1).sum((1, 2))[::2].astype(float)
            changes.append(np.abs(np.diff(area, 2)).sum() / area.sum())
        return np.mean(changes)

    assert unevenness(jumping) > 1.5 * unevenness(config)


def test_jumped_slices_and_structures_stay_together(monkeypatch):
    """An image of the liver alone is still one of the liver alone."""
    monkeypatch.setattr(artefacts, "_JUMP", 20.0)
    structures = torch.from_numpy(torso_body().structures)
    config = dataclasses.replace(CONFIG, scanner=ScannerConfig(jumps=1.0))
    image = (structures == ORGAN_VALUES.value_of(LIVER)).float()
    for seed in range(4):
        moved, seen = jumped(image, structures, config, Random(seed))
        assert not torch.equal(seen, structures)
        assert torch.equal(moved > 0.5, seen == ORGAN_VALUES.value_of(LIVER))


def test_heavy_noise_is_heavier():
    def roughness(probability):
        image = made_with("scanner", "heavy_noise", probability).image
        return np.abs(np.diff(image, axis=2)).mean() / image.std()

    assert roughness(1.0) > 1.3 * roughness(0.0)


def test_soft_edges_are_softer():
    def steepness(probability):
        image = made_with("scanner", "soft", probability, with_texture=False).image
        return np.abs(np.diff(image, axis=2)).mean() / image.std()

    assert steepness(1.0) < 0.9 * steepness(0.0)


@pytest.mark.parametrize(("cut", "goes_on"), [(34, True), (23, False)])
def test_a_taller_body_goes_on_above_its_organs_and_never_through_them(cut, goes_on):
    """The torso's liver and spleen reach up to slice 29, its lungs begin at 27; two slices of air end a map."""
    ended = np.concatenate([torso_body().structures[:cut], np.zeros((2, 44, 56), np.uint8)])
    config = dataclasses.replace(CONFIG, patch=(60, 44, 56), rotation=0.0, shear=0.0, deformation=0.0)
    taller = dataclasses.replace(config, anatomy=AnatomyConfig(taller=1.0))
    cut_body = StructureMap("cut", ended, None, CONFIG.spacing)
    for seed in range(3):
        before, after = (sample_space(cut_body, c, Random(seed))[0] for c in (config, taller))
        assert not before[-5:].any()
        assert goes_on == (after[-1] == Tissue.LUNG).any()
        assert torch.equal(before[:20], after[:20])
        organs = (after > 0) & (after < Tissue.SUBCUTANEOUS_FAT)
        assert torch.equal(organs, (before > 0) & (before < Tissue.SUBCUTANEOUS_FAT))


def test_most_patches_show_the_dome_also_of_a_body_with_long_legs():
    legs = np.repeat(torso_body().structures[:1], 80, axis=0)
    tall = StructureMap("tall", np.concatenate([legs, torso_body().structures]), None, CONFIG.spacing)
    config = dataclasses.replace(CONFIG, patch=(32, 44, 56), rotation=0.0, shear=0.0, deformation=0.0)
    tops = [sample_space(tall, config, Random(seed))[0][-1] for seed in range(40)]
    assert sum(not (top == ORGAN_VALUES.value_of(LIVER)).any() for top in tops) > 30


@pytest.mark.parametrize("name", ["wrap", "slab"])
def test_a_smaller_field_of_view_cuts_labels_and_moves_none(name):
    without, on = (made_with("scanner", name, p) for p in (0.0, 1.0))
    seen = on.labels > 0
    assert np.array_equal(on.labels[seen], without.labels[seen])
    assert seen.sum() <= (without.labels > 0).sum()
    assert np.sum(on.image == on.image.min()) > np.sum(without.image == without.image.min())


def test_a_slab_is_as_long_as_was_asked(monkeypatch):
    monkeypatch.setattr(scanner, "_SLAB_LENGTH", (48.0, 60.0))
    config = dataclasses.replace(CONFIG, scanner=ScannerConfig(slab=1.0), in_plane_crop_probability=0.0)
    for seed in range(4):
        image = ImageMaker(("liver",), config, PREPARATION).make(torso_body(), seed).image
        assert 7 <= np.sum(np.ptp(image, axis=(1, 2)) > 0) <= 10


@pytest.mark.parametrize("seed", range(6))
def test_with_everything_on_right_and_left_keep_their_sides(seed):
    everything = {r: kind(**{n: 1.0 for room, n in ADDITIONS if room == r}) for r, kind in ROOMS.items()}
    config = dataclasses.replace(CONFIG, patch=(40, 56, 64), **everything)
    sample = ImageMaker(("right kidney", "left kidney"), config, PREPARATION).make(torso_body(), seed)
    assert np.isfinite(sample.image).all()
    right, left = (np.argwhere(sample.labels == v) for v in (1, 2))
    if len(right) and len(left):
        assert right[:, 2].mean() < left[:, 2].mean()
