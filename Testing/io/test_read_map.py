"""Maps of a quantity are read as they are: what is no value becomes NaN, and nothing is repaired."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom_series import whole_numbered_volume, write_dicom_series, write_shared_series
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_map, write_volume
from LiverMRISegLib.volume import Volume


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_values_that_are_none_are_nan(tmp_path, ending):
    volume = make_volume()
    array = volume.array.copy()
    array[0, :3, 0] = (np.nan, np.inf, -np.inf)
    array[3:] = np.nan  # half of it: a masked map
    write_volume(Volume(array, volume.geometry), tmp_path / f"map.{ending}")
    found = read_map(tmp_path / f"map.{ending}")
    assert found.array.dtype == np.float32
    assert np.array_equal(np.isnan(found.array), ~np.isfinite(array))
    assert np.array_equal(found.array[np.isfinite(array)], array[np.isfinite(array)])


def test_padding_is_nan(tmp_path):
    volume = make_volume()
    array = (volume.array / 10).astype(np.int16)
    array[:, :, :4] = -32768
    write_volume(Volume(array, volume.geometry), tmp_path / "map.nii.gz")
    assert np.array_equal(np.isnan(read_map(tmp_path / "map.nii.gz").array), array == -32768)


def test_a_map_of_few_values_is_one(tmp_path):
    volume = make_volume()
    write_volume(Volume(np.full(volume.array.shape, 7, np.uint8), volume.geometry), tmp_path / "map.nii")
    assert (read_map(tmp_path / "map.nii").array == 7).all()
    with pytest.raises(UsageError, match="a series can only be chosen in a DICOM folder"):
        read_map(tmp_path / "map.nii", series="1.2")


@pytest.mark.parametrize("read", [read_map, read_labelmap])
def test_where_no_frame_can_be_chosen_none_is_asked_for(tmp_path, read):
    sitk.WriteImage(sitk.JoinSeries([make_volume().to_sitk()] * 3), str(tmp_path / "map.nii.gz"))
    with pytest.raises(InputError, match=r"has 3 frames; save the one that is meant as a file of its own$"):
        read(tmp_path / "map.nii.gz")


def test_a_series_of_several_maps(tmp_path):
    pytest.importorskip("pydicom")

    def change(data, number, _):
        data.EchoTime = str(number + 1)

    write_shared_series(tmp_path / "s", [whole_numbered_volume()] * 2, change)
    with pytest.raises(InputError, match=r"2 volumes that differ in echo time .*; save the one that is meant"):
        read_map(tmp_path / "s")


def test_a_folder_of_several_series(tmp_path):
    pytest.importorskip("pydicom")
    for suffix in "12":
        write_dicom_series(tmp_path / suffix, whole_numbered_volume(), uid_suffix=suffix)
        for path in (tmp_path / suffix).iterdir():
            path.rename(tmp_path / f"{suffix}_{path.name}")
    with pytest.raises(InputError, match=r"has 2 series: .*; give a folder with the images of the one that is meant$"):
        read_map(tmp_path)
