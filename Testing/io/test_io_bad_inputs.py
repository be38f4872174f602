"""Every input that cannot be used is refused with one line that names the file, and says what to do."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import make_volume

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume, write_volume


def refused(path, words):
    with pytest.raises(InputError, match=words) as error:
        read_volume(path)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    return message


def written(tmp_path, array, name="image.nii.gz", spacing=(1.0, 1.0, 1.0)):
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing(spacing[: image.GetDimension()] + (1.0,) * (image.GetDimension() - 3))
    sitk.WriteImage(image, str(tmp_path / name))
    return tmp_path / name


def ramp(shape=(6, 7, 8), dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def nifti_bytes(tmp_path, **_):
    path = written(tmp_path, ramp(), "plain.nii")
    return bytearray(path.read_bytes())


def test_missing(tmp_path):
    refused(tmp_path / "absent.nii.gz", "no such file")


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "mha"])
def test_empty_and_text(tmp_path, ending):
    path = tmp_path / f"image.{ending}"
    path.write_bytes(b"")
    refused(path, "empty")
    path.write_text("this is a shopping list\n" * 30)
    refused(path, "not a NIfTI|cannot be read")


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "mha"])
def test_truncated(tmp_path, ending, kept):
    path = tmp_path / f"image.{ending}"
    write_volume(make_volume(size=(40, 40, 40)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated|damaged|cannot be read|announces")


def test_gzip_of_a_truncated_nifti(tmp_path):
    whole = bytes(nifti_bytes(tmp_path))
    path = tmp_path / "image.nii.gz"
    path.write_bytes(gzip.compress(whole[:-200]))
    refused(path, "fewer voxels|truncated|damaged")


def test_wrong_number_of_dimensions(tmp_path):
    refused(written(tmp_path, ramp((5, 6)), "flat.mha"), "2D")
    refused(written(tmp_path, ramp((3, 5, 6, 7)), "frames.nii.gz"), "3 frames")


def test_a_single_frame_is_taken(tmp_path):
    assert read_volume(written(tmp_path, ramp((1, 5, 6, 7)))).array.shape == (5, 6, 7)


def test_colour(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "rgb.mha"))
    refused(tmp_path / "rgb.mha", "3 values per voxel")


def test_complex(tmp_path):
    path = written(tmp_path, ramp((4, 5, 6)).astype(np.complex64), "k.nii")
    refused(path, "magnitude")


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


def test_constant(tmp_path):
    refused(written(tmp_path, np.full((5, 6, 7), 3.0, np.float32)), "nothing to segment")


@pytest.mark.parametrize("value", [0.0, -1.5, float("nan")])
@pytest.mark.parametrize("packed", [False, True])
def test_spacing(tmp_path, value, packed):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<f", content, 84, value)
    path = tmp_path / ("bad.nii.gz" if packed else "bad.nii")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    refused(path, "spacing")


def test_spacing_in_a_metaimage(tmp_path):
    path = written(tmp_path, ramp(), "image.mha")
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 0 1"))
    refused(path, "spacing|cannot be read")


def test_sheared_axes(tmp_path):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<12f", content, 280, 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    path = tmp_path / "sheared.nii"
    path.write_bytes(bytes(content))
    refused(path, "perpendicular")


def test_one_voxel_thin(tmp_path):
    refused(written(tmp_path, ramp((1, 20, 20)), "thin.nrrd"), "one voxel thin")


@pytest.mark.parametrize("name", ["huge.nii", "huge.nii.gz"])
def test_huge_header_on_a_tiny_file(tmp_path, name):
    content = nifti_bytes(tmp_path)
    struct.pack_into("<4h", content, 40, 3, 2000, 2000, 1000)
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith("gz") else bytes(content))
    refused(path, "announces 16000 MB")


def test_mask_as_image(tmp_path):
    mask = np.zeros((10, 12, 14), np.uint8)
    mask[3:6, 4:8, 5:9] = 1
    mask[7:8] = 4
    refused(written(tmp_path, mask), "looks like a mask")
    refused(written(tmp_path, mask.astype(np.float32), "float.nii"), "looks like a mask")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.uint64, np.int64, np.float64])
def test_number_types(tmp_path, dtype):
    array = ramp((4, 6, 9), np.float64).astype(dtype)
    volume = read_volume(written(tmp_path, array, "image.nrrd"))
    assert np.array_equal(volume.array.astype(np.float64), array.astype(np.float64))
    assert volume.array.dtype.itemsize <= 4
