"""Fat fractions of pairs of images with known content."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.ellipsoids import grid, labelmap_of
from LiverMRISegLib.anatomy import CHAOS, SPLEEN
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.measurement.fat_fraction import fat_fraction_of_phases, fat_fraction_of_water_and_fat
from LiverMRISegLib.measurement.organs import measure
from LiverMRISegLib.volume import Volume, reorient


def image(value, name="image"):
    return Volume(np.full(grid().shape, value, np.int16), grid(), name)


@pytest.mark.parametrize("percent", [0, 7, 40, 50])
def test_both_pairs_give_the_fraction_of_fat(percent):
    water, fat = image(1000 - 10 * percent), image(10 * percent)
    both = fat_fraction_of_water_and_fat(water, fat)
    phases = fat_fraction_of_phases(image(1000), image(abs(1000 - 20 * percent)))
    for found in (both, phases):
        assert found.unit == "%"
        assert found.volume.array == pytest.approx(percent)


def test_more_fat_than_water_is_ambiguous_and_said():
    found = fat_fraction_of_phases(image(1000), image(400))  # of 30 or of 70 % fat
    assert found.volume.array == pytest.approx(30)
    spleen = measure(labelmap_of(grid()), CHAOS, {"ff": found}).of(SPLEEN)
    assert "f may be 100 - f where there is more fat than water" in spleen.statistics["ff"].remarks[-1]


def test_where_there_is_no_signal_there_is_no_fraction():
    found = fat_fraction_of_water_and_fat(image(0), image(0))
    assert np.isnan(found.volume.array).all()


def test_an_image_with_other_axes_is_compared_in_the_patient():
    fat = Volume(np.arange(image(0).array.size, dtype=np.int16).reshape(grid().shape) % 7, grid(), "fat")
    straight, turned = (fat_fraction_of_water_and_fat(image(9), other) for other in (fat, reorient(fat, "RAS")))
    assert np.array_equal(straight.volume.array, turned.volume.array)


def test_images_on_different_grids_are_refused():
    other = Volume(np.ones((3, 3, 3)), grid().cropped((0, 0, 0), (3, 3, 3)), "fat.nii.gz")
    with pytest.raises(InputError, match=r"fat.nii.gz: the fat image \(3, 3, 3\) is not on the grid of the water"):
        fat_fraction_of_water_and_fat(image(1), other)
