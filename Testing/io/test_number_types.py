"""Numbers of every type, scaled, too large, and not finite."""

import numpy as np
import pytest

from helpers.bad_files import changed, ramp, refused, written
from LiverMRISegLib.io import read_volume


def test_few_voxels_that_are_not_finite_are_repaired(tmp_path, caplog):
    array = ramp((10, 20, 20))
    array[0, 0, 1], array[1, 1, 1] = np.nan, np.inf
    volume = read_volume(written(tmp_path, array))
    assert np.isfinite(volume.array).all()
    assert volume.array[0, 0, 1] == 0.0
    assert "2 voxels are NaN or infinite" in caplog.text


def test_many_voxels_that_are_not_finite(tmp_path):
    array = ramp()
    array[:3] = np.nan
    refused(written(tmp_path, array), "NaN or infinite")


@pytest.mark.parametrize("value", [2**31, 2**40])
@pytest.mark.parametrize("dtype", [np.uint64, np.int64])
def test_large_integers_become_floats(tmp_path, dtype, value):
    array = ramp((4, 6, 9), np.int64).astype(dtype)
    array[0, 0, 0] = value
    volume = read_volume(written(tmp_path, array, "image.nrrd"))
    assert volume.array.dtype == np.float32
    assert volume.array[0, 0, 0] == value


def test_a_double_too_large_for_a_float_is_repaired(tmp_path, caplog):
    array = ramp((8, 9, 10), np.float64)
    array[1, 2, 3] = 1e300
    assert np.isfinite(read_volume(written(tmp_path, array)).array).all()
    assert "1 voxels are NaN or infinite" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.uint64, np.int64, np.float64])
def test_number_types(tmp_path, dtype):
    array = ramp((4, 6, 9), np.float64).astype(dtype)
    volume = read_volume(written(tmp_path, array, "image.nrrd"))
    assert np.array_equal(volume.array.astype(np.float64), array.astype(np.float64))
    assert volume.array.dtype.itemsize <= 4


@pytest.mark.parametrize("name", ["scaled.nii", "scaled.nii.gz"])
def test_integers_with_a_scale_are_read(tmp_path, name):
    array = ramp(dtype=np.int16)
    volume = read_volume(changed(tmp_path, "<2f", 112, 2.5, 1.0, name=name, array=array))
    assert np.allclose(volume.array, array * 2.5 + 1.0)


def test_unknown_number_types(tmp_path, capfd):
    refused(changed(tmp_path, "<h", 70, 1536), "type 1536 cannot be read")
    assert not capfd.readouterr().err
