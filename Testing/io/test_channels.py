"""The images of a case are found by their names; one that is missing, or one too many, is named."""

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_channels, read_volume, write_volume
from LiverMRISegLib.io.channels import case_of, channel_files
from LiverMRISegLib.volume import Volume

NAMES = ("T1", "T2")


def write(folder, ending="nii.gz", count=2):
    for number in range(count):
        write_volume(make_volume(seed=number), folder / f"a_{number:04d}.{ending}")


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("given", [0, 1])
def test_any_image_of_a_case_finds_the_others(ending, given, tmp_path):
    write(tmp_path, ending)
    found = read_channels(tmp_path / f"a_{given:04d}.{ending}", NAMES)
    assert [volume.name for volume in found] == [f"a_0000.{ending}", f"a_0001.{ending}"]
    for number, volume in enumerate(found):
        assert np.array_equal(volume.array, make_volume(seed=number).array)


def test_names(tmp_path):
    assert channel_files(tmp_path / "a_b_0001.nii.gz", 3)[2] == tmp_path / "a_b_0002.nii.gz"
    assert channel_files(tmp_path / "a_0001.nrrd", 1) == (tmp_path / "a_0001.nrrd",)
    assert channel_files(tmp_path / "a_001.nrrd", 2) == (tmp_path / "a_001.nrrd",)
    assert [case_of(tmp_path / name) for name in ("a_0001.nrrd", "a_0000", "b.nii")] == ["a", "a", "b"]


def test_dicom_folders_are_named_alike(tmp_path):
    for number in range(2):
        write_dicom_series(tmp_path / f"a_{number:04d}", make_volume(seed=number), uid_suffix=str(number + 1))
    first, second = read_channels(tmp_path / "a_0000", NAMES)
    assert first.geometry.is_close(second.geometry)
    assert not np.array_equal(first.array, second.array)
    with pytest.raises(UsageError, match="give folders of one series each: CASE_0000 T1, CASE_0001 T2"):
        read_channels(tmp_path / "a_0000", NAMES, series="1.2")


def test_a_single_image_is_read_as_ever(tmp_path):
    write(tmp_path)
    (only,) = read_channels(tmp_path / "a_0001.nii.gz", ["image"])
    alone = read_volume(tmp_path / "a_0001.nii.gz")
    assert only.name == alone.name
    assert np.array_equal(only.array, alone.array)


def test_what_is_missing_is_named(tmp_path):
    write(tmp_path)
    with pytest.raises(
        InputError, match=r"a_0002\.nii\.gz: no such file, it would be the image 'DWI'; the model takes 3"
    ):
        read_channels(tmp_path / "a_0000.nii.gz", (*NAMES, "DWI"))
    (tmp_path / "a_0000.nii.gz").rename(tmp_path / "b.nii.gz")
    with pytest.raises(InputError, match=r"a_0000\.nii\.gz: no such file, it would be the image 'T1'"):
        read_channels(tmp_path / "a_0001.nii.gz", NAMES)
    with pytest.raises(
        InputError, match=r"b\.nii\.gz: the model takes 2 images a case: CASE_0000 T1.*name the files so"
    ):
        read_channels(tmp_path / "b.nii.gz", NAMES)


def test_one_too_many_is_named(tmp_path):
    write(tmp_path, count=3)
    with pytest.raises(InputError, match=r"a_0002\.nii\.gz: is one image more than expected; the model takes 2"):
        read_channels(tmp_path / "a_0000.nii.gz", NAMES)


def test_a_mask_may_stand_beside_the_image(tmp_path):
    write(tmp_path)
    image = make_volume()
    mask = Volume((image.array > 200).astype(np.uint8), image.geometry)
    write_volume(mask, tmp_path / "a_0001.nii.gz")
    assert read_channels(tmp_path / "a_0000.nii.gz", NAMES)[1].array.max() == 1
    with pytest.raises(InputError, match="looks like a mask"):
        read_volume(tmp_path / "a_0001.nii.gz")
    write_volume(mask, tmp_path / "a_0000.nii.gz")
    with pytest.raises(InputError, match=r"a_0000\.nii\.gz: contains only 2 different values"):
        read_channels(tmp_path / "a_0000.nii.gz", NAMES)
