"""Patches: exact where nothing is interpolated, the same for the same seed, image and labels moved alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import GaussianSmooth
from monai.transforms.utils import create_rotate

from LiverMRISegLib.data.augmentation import AugmentationConfig, Augmenter, Placement, _rotation
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.configuration import read_config

CONFIGS = Path(__file__).resolve().parents[2] / "scripts" / "train" / "configs"

STILL = AugmentationConfig(
    rotation_probability=0, scale_probability=0, noise_probability=0, blur_probability=0, brightness_probability=0,
    contrast_probability=0, low_resolution_probability=0, inverted_gamma_probability=0, gamma_probability=0,
)  # fmt: skip


def ramp(shape=(20, 24, 28)) -> np.ndarray:
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
    return 1 + z + 0.1 * y + 0.01 * x


def straight(centre, mirrored=()) -> Placement:
    return Placement(centre, (0.0, 0.0, 0.0), 1.0, mirrored)


def test_a_straight_patch_is_the_very_voxels():
    patch = Augmenter(STILL, (8, 10, 12)).cut(ramp(), straight((10, 12, 14)))
    assert np.array_equal(patch.numpy(), ramp()[6:14, 7:17, 8:20])


def test_mirroring_turns_the_axis_named():
    augmenter = Augmenter(STILL, (8, 10, 12))
    plain, turned = (augmenter.cut(ramp(), straight((10, 12, 14), axes)).numpy() for axes in ((), (2,)))
    assert np.array_equal(turned, plain[:, :, ::-1])


def test_the_axes_that_may_be_mirrored_are_so_half_of_the_time():
    random = np.random.default_rng(0)
    augmenter = Augmenter(replace(STILL, mirror_axes=(0, 2)), (8, 10, 12))
    drawn = [augmenter.place((10, 12, 14), random).mirrored for _ in range(200)]
    assert {axis for axes in drawn for axis in axes} == {0, 2}
    assert all(60 < sum(axis in axes for axes in drawn) < 140 for axis in (0, 2))


@pytest.mark.parametrize("name", ["gamma", "inverted_gamma"])
@pytest.mark.parametrize("seed", range(3))
def test_gamma_bends_the_dark_end_and_inverted_gamma_the_bright_one(name, seed):
    """Of an even ramp; mean and deviation stay."""
    augmenter = Augmenter(replace(STILL, **{f"{name}_probability": 1.0}), (8, 10, 12))
    image = torch.linspace(0, 1, 960).reshape(8, 10, 12)
    changed = augmenter.change_intensities(image, np.random.default_rng(seed))
    assert changed.mean().item() == pytest.approx(image.mean().item(), abs=0.01)
    assert changed.std().item() == pytest.approx(image.std().item(), abs=0.01)
    bend = changed.flatten().double().diff().diff().abs()
    assert (bend[:96].mean() > 1.5 * bend[-96:].mean()) == (name == "gamma")
    assert (bend[-96:].mean() > 1.5 * bend[:96].mean()) == (name == "inverted_gamma")


@pytest.mark.parametrize("centre", [(0, 0, 0), (19, 23, 27), (10, 0, 27)])
def test_beyond_the_image_lies_its_minimum_or_background(centre):
    augmenter = Augmenter(STILL, (8, 8, 8))
    image, labels = ramp(), np.ones((20, 24, 28), np.uint8)
    patch = augmenter.cut(image, straight(centre)).numpy()
    truth = augmenter.cut(labels, straight(centre), is_labels=True).numpy()
    assert patch.shape == truth.shape == (8, 8, 8)
    assert 0 < truth.sum() < truth.size
    assert patch[truth == 0].max() == patch[truth == 1].min()


@pytest.mark.parametrize("angles", [(0.4, 0, 0), (0, 0.4, 0), (0, 0, 0.4), (0.3, -0.2, 0.4)])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
def test_a_turned_patch_is_the_patch_of_the_turned_whole(angles, scale):
    """The box that is cut before turning must hold all that the turned patch shows."""
    image = ramp((64, 64, 64))
    placement = Placement((32, 32, 32), angles, scale, ())
    small = Augmenter(STILL, (12, 16, 20))
    patch = small.cut(image, placement).numpy()
    large = Augmenter(STILL, (24, 32, 40)).cut(image, placement).numpy()[6:18, 8:24, 10:30]
    assert np.allclose(patch, large, atol=0.02)
    assert patch.std() > 0.5


def test_labels_move_with_the_image():
    image = np.zeros((40, 40, 40), np.float32)
    image[15:28, 10:30, 18:25] = 1
    augmenter = Augmenter(STILL, (32, 32, 32))
    placement = Placement((20, 20, 20), (0.3, 0.2, -0.4), 1.2, (1,))
    moved = augmenter.cut(image, placement).numpy() > 0.5
    truth = augmenter.cut((image > 0.5).astype(np.uint8), placement, is_labels=True).numpy() > 0
    assert 2 * (moved & truth).sum() / (moved.sum() + truth.sum()) > 0.95


def test_same_seed_same_patch():
    augmenter = Augmenter(AugmentationConfig(mirror_axes=(0, 1), inversion=0.5), (8, 8, 8))

    def made(seed):
        random = np.random.default_rng(seed)
        place = augmenter.place((10, 12, 14), random)
        return augmenter.change_intensities(augmenter.cut(ramp(), place), random)

    assert all(torch.equal(made(s), made(s)) for s in range(20))
    assert not torch.equal(made(1), made(2))
    assert all(torch.isfinite(made(s)).all() for s in range(50))


def test_every_augmentation_changes_something():
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32))
    names = [
        n for n in vars(STILL) if n.endswith("_probability") and not n.startswith(("rotation", "scale", "elastic"))
    ]
    assert len(names) == 7
    for name in [*names, "inversion"]:
        config = AugmentationConfig(**{**vars(STILL), name: 1.0})
        changed = Augmenter(config, (12, 12, 12)).change_intensities(image, np.random.default_rng(0))
        assert not torch.allclose(changed, image, atol=1e-3), name
    assert torch.equal(Augmenter(STILL, (12, 12, 12)).change_intensities(image, np.random.default_rng(0)), image)


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_blur_leaves_the_faces_of_a_patch_what_they_are(sigma):
    """What lies beyond a patch is like its edge: zeros are the mean of a normalised image, and would shine in air."""
    off = {f"{name}_probability": 0.0 for name in ("noise", "brightness", "contrast", "low_resolution", "gamma")}
    config = AugmentationConfig(**off, inverted_gamma_probability=0.0, blur=(sigma, sigma), blur_probability=1.0)
    augmenter = Augmenter(config, (6, 16, 20))
    air = torch.full((6, 16, 20), -0.8)
    assert torch.allclose(augmenter.change_intensities(air, np.random.default_rng(0)), air, atol=1e-3)
    noise = torch.randn(6, 16, 20, generator=torch.Generator().manual_seed(0)) - 5
    blurred = augmenter.change_intensities(noise, np.random.default_rng(0))
    whole = GaussianSmooth(sigma)(np.pad(noise.numpy(), 20, mode="edge")[None])[0, 20:-20, 20:-20, 20:-20]
    assert torch.allclose(blurred, torch.as_tensor(whole), atol=1e-4)
    assert blurred.std() < 0.6 * noise.std()


def test_low_resolution_moves_nothing():
    config = AugmentationConfig(**{**vars(STILL), "low_resolution_probability": 1.0})
    z, y, x = np.meshgrid(*(np.arange(33) - 16.0,) * 3, indexing="ij")
    lump = torch.from_numpy(np.exp(-(z**2 + y**2 + x**2) / 50).astype(np.float32))
    shifts = []
    for seed in range(12):
        changed = Augmenter(config, (33, 33, 33)).change_intensities(lump, np.random.default_rng(seed)).numpy()
        shifts.append([float((axis * changed).sum() / changed.sum()) for axis in (z, y, x)])
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.1


@pytest.mark.parametrize("angles", [(0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.3, -0.5, 0.4)])
def test_the_box_to_turn_is_chosen_by_the_turn_that_is_made(angles):
    assert np.allclose(_rotation(angles), create_rotate(3, angles)[:3, :3])


def test_inversion_turns_dark_into_bright():
    image = torch.linspace(-1, 3, 1000).view(10, 10, 10)
    config = AugmentationConfig(**{**vars(STILL), "inversion": 1.0})
    changed = Augmenter(config, (10, 10, 10)).change_intensities(image, np.random.default_rng(0))
    assert np.corrcoef(image.flatten(), changed.flatten())[0, 1] < -0.999
    assert changed.mean().item() == pytest.approx(image.mean().item(), abs=1e-3)
    assert changed.std().item() == pytest.approx(image.std().item(), abs=1e-3)


def test_flat_patches_turn_within_their_slices():
    augmenter = Augmenter(AugmentationConfig(rotation_probability=1.0), (8, 64, 64))
    angles = [augmenter.place((0, 0, 0), np.random.default_rng(s)).angles for s in range(50)]
    assert all(y == x == 0 for _, y, x in angles)
    assert max(abs(z) for z, _, _ in angles) > np.pi / 2


def test_deformation_is_smooth_of_the_asked_size_and_the_same_for_labels():
    """MiDSS: displacements of 1 % of a side in the mean, none beyond the margin."""
    augmenter = Augmenter(replace(STILL, elastic_probability=1.0), (32, 40, 48))
    places = [augmenter.place((32, 36, 40), np.random.default_rng(seed)) for seed in range(8)]
    image = ramp((64, 72, 80))
    for axis, side in enumerate((32, 40, 48)):
        along = np.zeros_like(image) + np.arange(image.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        still = augmenter.cut(along.astype(np.float32), straight((32, 36, 40))).numpy()
        moved = np.stack([augmenter.cut(along.astype(np.float32), p).numpy() - still for p in places])
        assert np.sqrt((moved**2).mean()) == pytest.approx(0.0106 * side, rel=0.35)
        assert np.abs(moved).max() <= 4 * 0.0106 * side + 1e-3
        assert np.abs(np.diff(moved, axis=1)).max() < 0.9  # nothing folds over
    organ = np.zeros((64, 72, 80), np.float32)
    organ[24:40, 24:48, 20:60] = 1
    for place in places:
        seen = augmenter.cut(organ, place).numpy() > 0.5
        truth = augmenter.cut(organ.astype(np.uint8), place, is_labels=True).numpy() > 0
        assert 2 * (seen & truth).sum() / (seen.sum() + truth.sum()) > 0.97


def test_without_deformation_nothing_else_is_drawn_than_before():
    plain = Augmenter(AugmentationConfig(mirror_axes=(2,)), (8, 8, 8))
    other = Augmenter(AugmentationConfig(mirror_axes=(2,), elastic_probability=1.0), (8, 8, 8))
    first, second = (a.place((9, 9, 9), np.random.default_rng(3)) for a in (plain, other))
    assert first.deformation is None
    assert second.deformation is not None
    assert replace(second, deformation=None) == first


def test_midss_views_change_brightness_contrast_and_blur_of_every_patch():
    """nnU-Net's leave about a quarter as they are."""
    views = read_config(AugmentationConfig, CONFIGS / "parts" / "midss_views.yaml")
    augmenter = Augmenter(views, (12, 12, 12))
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32))
    changed = [augmenter.change_intensities(image, np.random.default_rng(s)) for s in range(40)]
    assert all(not torch.allclose(c, image, atol=1e-3) for c in changed)
    places = [augmenter.place((9, 9, 9), np.random.default_rng(s)) for s in range(200)]
    for share in (
        np.mean([p.deformation is not None for p in places]),
        np.mean([any(p.angles) for p in places]),
        np.mean([p.scale < 1 for p in places]),
        np.mean([p.mirrored == (2,) for p in places]),
    ):
        assert 0.38 < share < 0.62
    assert max(p.scale for p in places) == 1.0
    weak = read_config(AugmentationConfig, CONFIGS / "parts" / "midss_weak_views.yaml")
    place = Augmenter(weak, (12, 12, 12)).place((9, 9, 9), np.random.default_rng(0))
    assert place.is_straight
    assert place.deformation is None


def test_a_range_whose_ends_are_exchanged_is_refused():
    with pytest.raises(UsageError, match=r"blur: the least value, 2.0, is above the largest, 1.0; exchange them"):
        AugmentationConfig(blur=(2.0, 1.0))
