"""The Sobel magnitude of what is known by hand."""

import numpy as np
import pytest

from LiverMRISegLib.preparation.anatomy_space import sobel_magnitude, to_anatomy_space, to_unit_range


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
