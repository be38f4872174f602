"""Intensities changed, voxels left where they are."""

import numpy as np
import pytest

from LiverMRISegLib.preparation.intensity import from_darkest, with_gamma
from LiverMRISegLib.volume import Geometry, Volume

GEOMETRY = Geometry((24, 20, 12), (3.0, 3.0, 8.0), (10.0, -5.0, 7.0))


def box():
    """A bright box with a gradient in air."""
    array = np.zeros(GEOMETRY.shape, np.float32)
    array[3:9, 5:15, 6:16] = np.linspace(100, 200, 10)
    return Volume(array, GEOMETRY, "case")


@pytest.mark.parametrize("gamma", [0.5, 0.7, 1.5, 2.0])
def test_gamma_keeps_the_order_and_the_bright_end(gamma):
    image = box()
    changed = with_gamma(image, gamma).array
    assert (np.diff(changed[5, 8, 6:16]) > 0).all()
    assert np.percentile(changed, 99) == pytest.approx(np.percentile(image.array, 99), rel=0.02)
    assert (changed[5, 8, 8] > image.array[5, 8, 8]) == (gamma < 1)


def test_the_darkest_voxel_becomes_0_and_the_level_is_never_0():
    image = box()
    shifted, level = from_darkest(Volume(image.array - 30, GEOMETRY))
    assert np.array_equal(shifted, image.array)
    assert level == np.percentile(image.array, 99)
    nothing, level = from_darkest(Volume(np.full(GEOMETRY.shape, 7, np.int16), GEOMETRY))
    assert not nothing.any()
    assert level > 0


def test_the_unit_of_the_intensities_does_not_matter():
    image = box()
    tiny = Volume((image.array.astype(float) * 1e-20).astype(np.float32), GEOMETRY)
    assert np.allclose(with_gamma(tiny, 2.0).array / np.float32(1e-20), with_gamma(image, 2.0).array, rtol=1e-3)
