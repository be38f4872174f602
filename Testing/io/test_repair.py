"""Voxels that are no measurement are repaired and said aloud; where they are too many, the file is refused."""

import numpy as np
import pytest

from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.volume import Volume


def body(dtype=np.float32):
    """An image with a body in its middle, and what is around it as a mask."""
    volume = make_volume(size=(40, 36, 12))
    y, x = np.mgrid[-1:1:36j, -1:1:40j]
    around = np.broadcast_to(x * x + y * y > 0.8, volume.array.shape)
    return Volume(volume.array.astype(dtype), volume.geometry), around


def read_with(tmp_path, value, dtype=np.float32):
    volume, around = body(dtype)
    array = volume.array.copy()
    array[around] = value
    write_volume(Volume(array, volume.geometry), tmp_path / "v.nii.gz")
    return read_volume(tmp_path / "v.nii.gz"), volume.array, around


@pytest.mark.parametrize(
    ("value", "dtype"), [(np.nan, np.float32), (-32768, np.int16), (-32768, np.float32), (-1e6, np.float32)]
)
def test_a_background_that_was_cut_away(tmp_path, value, dtype):
    found, array, around = read_with(tmp_path, value, dtype)
    assert np.array_equal(found.array[~around], array[~around])
    assert (found.array[around] == array[~around].min()).all()
    (note,) = found.metadata["notes"]
    assert "41% of the voxels" in note
    assert "outside of the image" in note


@pytest.mark.parametrize(("value", "dtype"), [(-1000, np.int16), (0, np.int16), (-1024, np.float32)])
def test_air_is_a_measurement(tmp_path, value, dtype):
    found, _, around = read_with(tmp_path, value, dtype)
    assert (found.array[around] == value).all()
    assert "notes" not in found.metadata


def test_a_scale_that_begins_far_below_zero_is_not_padding(tmp_path):
    volume = make_volume()
    write_volume(Volume(volume.array * 100 - 32768, volume.geometry), tmp_path / "v.nii.gz")
    assert "notes" not in read_volume(tmp_path / "v.nii.gz").metadata


def test_damage_within_the_image_is_not_background(tmp_path):
    volume, around = body()
    array = volume.array.copy()
    array[~around] = np.nan
    write_volume(Volume(array, volume.geometry), tmp_path / "v.nii.gz")
    with pytest.raises(InputError, match="59% of the voxels are NaN or infinite"):
        read_volume(tmp_path / "v.nii.gz")


def test_values_that_no_float_can_hold(tmp_path):
    volume = make_volume()
    write_volume(Volume(volume.array.astype(np.float64) * 1e-312, volume.geometry), tmp_path / "v.nrrd")
    with pytest.raises(InputError, match="too small for 32-bit floats"):
        read_volume(tmp_path / "v.nrrd")
