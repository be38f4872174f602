"""Corruptions: each does what it says to the image, and takes the reference along where voxels move."""

import numpy as np
import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation import corruption
from LiverMRISegLib.volume import Geometry, Volume

GEOMETRY = Geometry((24, 20, 12), (3.0, 3.0, 8.0), (10.0, -5.0, 7.0))


def pair():
    """A bright box with a gradient in air, labelled 1."""
    array, labels = np.zeros(GEOMETRY.shape, np.float32), np.zeros(GEOMETRY.shape, np.uint8)
    array[3:9, 5:15, 6:16] = np.linspace(100, 200, 10)
    labels[3:9, 5:15, 6:16] = 1
    return Volume(array, GEOMETRY, "case"), Volume(labels, GEOMETRY, "case")


def random():
    return np.random.default_rng(0)


def test_noise_has_the_asked_share_and_is_never_negative():
    image, _ = pair()
    noisy = corruption.with_noise(image, 0.1, random()).array
    level = np.percentile(image.array, 99)
    tissue = image.array > 0
    assert (noisy - image.array)[tissue].std() == pytest.approx(0.1 * level, rel=0.15)
    assert noisy.min() >= 0


def test_a_bias_field_is_smooth_and_stays_within_its_strength():
    image = Volume(np.ones(GEOMETRY.shape, np.float32), GEOMETRY)
    image.array[0, 0, 0] = 0.0
    field = np.log(corruption.with_bias(image, 0.6, random()).array[1:])
    assert np.abs(field).max() <= 0.6 + 1e-5
    assert np.abs(field).max() > 0.3
    assert np.abs(np.diff(field, axis=2)).max() < 0.2


def test_inversion_turns_the_order_of_tissue_round_and_leaves_air_dark():
    image, _ = pair()
    negative = corruption.inverted(image, 1.0).array
    row = negative[5, 8, 6:16]
    assert (np.diff(row) <= 0).all()
    assert row[0] > row[-1]
    assert (negative[image.array == 0] == 0).all()
    weaker = np.ptp(corruption.inverted(image, 0.25).array[5, 8, 6:16])
    assert weaker == pytest.approx(0.5 * np.ptp(image.array[5, 8, 6:16]), rel=0.05)


def test_thicker_slices_are_means_over_the_same_extent():
    image, reference = pair()
    changed, truth = corruption.thicker(image, 16.0), corruption.thicker(reference, 16.0, nearest=True)
    assert changed.geometry.size == (24, 20, 6)
    assert changed.geometry.spacing[2] == pytest.approx(16.0)
    assert truth.geometry.is_close(changed.geometry)
    assert changed.array[1, 8, 6] == pytest.approx(50.0)
    assert changed.array.mean() == pytest.approx(image.array.mean(), rel=1e-5)
    assert set(np.unique(truth.array)) == {0, 1}
    assert truth.array.dtype == np.uint8


def test_thicknesses_are_thicker_than_the_slices():
    assert corruption.thicknesses_above(7.7) == [10.0, 13.0, 16.0]
    assert corruption.thicknesses_above(3.0) == [5.0, 7.0, 10.0]


@pytest.mark.parametrize("axis", range(3))
def test_rotation_moves_image_and_reference_alike(axis):
    image, reference = pair()
    turned = corruption.rotated(image, axis, 20.0)
    truth = corruption.rotated(reference, axis, 20.0, nearest=True)
    assert turned.geometry == image.geometry
    assert not np.array_equal(truth.array, reference.array)
    assert turned.array[truth.array == 1].mean() > 5 * turned.array[truth.array == 0].mean()


@pytest.mark.parametrize("axis", range(3))
def test_a_turn_is_of_the_asked_angle_and_sense(axis):
    """A rod along the next axis turns away from the one after it: left to front, back to below, above to the right."""
    geometry = Geometry((41, 41, 41), (2.0, 2.0, 2.0), (-40.0, -40.0, -40.0))
    along, after = (axis + 1) % 3, (axis + 2) % 3
    array = np.zeros(geometry.shape, np.uint8)
    rod = [slice(19, 22)] * 3
    rod[2 - along] = slice(28, 38)
    array[tuple(rod)] = 1
    turned = corruption.rotated(Volume(array, geometry), axis, 30.0, nearest=True)
    middle = np.array(geometry.world_of(np.argwhere(turned.array).mean(0)[::-1]))
    assert middle[axis] == pytest.approx(0.0, abs=0.5)
    assert np.rad2deg(np.arctan2(middle[after], middle[along])) == pytest.approx(-30.0, abs=1)


def test_a_slab_is_cut_around_the_labels_and_stays_in_place():
    image, reference = pair()
    image.array[:, 0, 0] = np.arange(12)
    part, truth = corruption.slab(image, reference, 24.0)
    assert part.array[:, 0, 0].tolist() in ([4, 5, 6], [5, 6, 7])
    assert part.geometry.origin == image.geometry.world_of((0, 0, part.array[0, 0, 0]))
    assert truth.geometry == part.geometry
    assert (truth.array > 0).any()


def test_a_slab_of_nothing_is_refused():
    image, reference = pair()
    with pytest.raises(UsageError, match="contains no labels"):
        corruption.slab(image, Volume(np.zeros_like(reference.array), GEOMETRY, "empty"), 24.0)


def test_all_corruptions_are_repeatable_and_change_nothing_in_place():
    image, reference = pair()
    kept = image.array.copy(), reference.array.copy()
    every = corruption.corruptions(image)
    assert every[0] is corruption.CLEAN
    assert len({(c.kind, c.strength) for c in every}) == len(every)
    kinds = {c.kind for c in every}
    assert {"noise", "bias field", "slices", "rotation about x", "slab", "inversion", "gamma"} <= kinds
    for c in every:
        (first, truth), (second, _) = c.apply(image, reference), c.apply(image, reference)
        assert np.array_equal(first.array, second.array)
        assert first.geometry.is_close(truth.geometry)
        assert np.isfinite(first.array).all()
        assert c is corruption.CLEAN or not np.array_equal(first.array, image.array)
    assert np.array_equal(image.array, kept[0])
    assert np.array_equal(reference.array, kept[1])
