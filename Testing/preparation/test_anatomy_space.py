"""The Sobel magnitude of what is known by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers.volumes import make_volume
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.preparation.anatomy_space import smoothed, sobel_magnitude, to_anatomy_space, to_unit_range
from LiverMRISegLib.preparation.own_scheme import prepare


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_unit_ramp_has_magnitude_one(axis):
    ramp = np.moveaxis(np.broadcast_to(np.arange(9.0), (9, 9, 9)), 2, axis)
    assert np.allclose(sobel_magnitude(ramp)[2:-2, 2:-2, 2:-2], 1.0, atol=1e-5)
    assert np.allclose(sobel_magnitude(-3 * ramp)[2:-2, 2:-2, 2:-2], 3.0, atol=1e-4)


def test_slices_have_two_axes():
    y, x = np.mgrid[0:9, 0:9].astype(float)
    assert np.allclose(sobel_magnitude(3 * y + 4 * x)[2:-2, 2:-2], 5.0, atol=1e-4)


def test_inverted_contrast_is_the_same_in_anatomy_space():
    image = np.random.default_rng(0).normal(size=(12, 16, 16))
    assert np.allclose(to_anatomy_space(image), to_anatomy_space(100 - image), atol=1e-4)


def test_the_range_is_minus_one_to_one():
    scaled = to_unit_range(np.random.default_rng(0).normal(size=(20, 20, 20)))
    assert (scaled.min(), scaled.max()) == (-1.0, pytest.approx(1.0))
    assert np.all(to_unit_range(np.full((4, 4, 4), 7.0)) == -1.0)


def test_smoothing_is_a_gaussian_of_a_voxel():
    image = np.random.default_rng(0).normal(size=(6, 16, 2)).astype(np.float32)
    assert np.allclose(smoothed(image, 1.0), gaussian_filter(image, 1.0, truncate=3.0), atol=1e-5)
    assert np.array_equal(smoothed(image, 0.0), image)


def test_outlines_stand_out_of_texture_in_the_smooth_space():
    """An organ with texture, as the liver has in T2: the share of the highest gradients that are at its outline."""
    random = np.random.default_rng(0)
    organ = np.zeros((24, 24, 24), bool)
    organ[6:18, 6:18, 6:18] = True
    image = organ * 1.0 + random.normal(0, 0.3, organ.shape)
    outline = np.zeros_like(organ)
    outline[5:19, 5:19, 5:19] = True
    outline[8:16, 8:16, 8:16] = False
    shares = {}
    for space in ("anatomy", "smooth anatomy"):
        seen = to_anatomy_space(image, space)
        highest = seen > np.quantile(seen, 1 - outline.mean())
        shares[space] = outline[highest].mean()
    assert shares["smooth anatomy"] > shares["anatomy"] + 0.1


def test_a_space_is_not_turned_into_another():
    volume = make_volume()
    with pytest.raises(UsageError, match="is in anatomy space and cannot be turned into smooth anatomy; set space to"):
        prepare(volume, PreparationSpec((6.0, 6.0, 6.0), space="smooth anatomy"), "anatomy")
    with pytest.raises(UsageError, match="is in smooth anatomy space and cannot be turned back into intensities"):
        prepare(volume, PreparationSpec((6.0, 6.0, 6.0)), "smooth anatomy")


@pytest.mark.parametrize("unit", [1e-12, 1e-25, 1e9])
def test_the_unit_of_the_intensities_does_not_matter(unit):
    image = gaussian_filter(np.random.default_rng(0).normal(size=(12, 16, 16)), 1.0) + 3
    plain, other = (to_anatomy_space(to_unit_range((image * u).astype(np.float32))) for u in (1.0, unit))
    assert np.allclose(plain, other, atol=1e-3)
