"""A series with images that are no part of its volume: a few in another plane are left out, others are named."""

import numpy as np
import pydicom
import pytest

from helpers.dicom_series import whole_numbered_volume, write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.io.read import list_frames

SAGITTAL, CORONAL = ["0", "1", "0", "0", "0", "-1"], ["1", "0", "0", "0", "0", "-1"]


def appended(folder, orientations, change=lambda data: None, name="LOC"):
    """The series in `folder` with an image more for each of the orientations."""
    for number, orientation in enumerate(orientations):
        data = pydicom.dcmread(folder / "image_1_003.dcm")
        data.ImageOrientationPatient = orientation
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.77.{number + 1}"
        change(data)
        data.save_as(folder / f"{name}_{number}.dcm")
    return folder


@pytest.fixture
def series(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    return tmp_path / "s"


@pytest.mark.parametrize("name", ["LOC", "ALOC"], ids=["last", "first"])
@pytest.mark.parametrize("orientations", [[SAGITTAL], [SAGITTAL, CORONAL]], ids=["one", "two"])
def test_a_few_images_in_another_plane_are_left_out_aloud(series, caplog, name, orientations):
    whole = read_volume(series)
    volume = read_volume(appended(series, orientations, name=name))
    assert np.array_equal(volume.array, whole.array)
    assert volume.geometry == whole.geometry
    assert volume.metadata["dicom_files"] == whole.metadata["dicom_files"]
    count = len(orientations)
    (note,) = volume.metadata["notes"]
    many = "1 of 13 images is in another plane" if count == 1 else "2 of 14 images are in other planes"
    assert note == f"{many} than the others (a localizer?), left out"
    assert f"left out: {', '.join(f'{name}_{n}.dcm' for n in range(count))}" in caplog.text
    assert len(list_frames(series)) == 1


def test_a_dicom_seg_refers_to_the_images_of_the_volume(series, tmp_path):
    pytest.importorskip("highdicom")
    volume = read_volume(appended(series, [SAGITTAL]))
    labels = np.ones(volume.array.shape, np.uint8)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    assert read_labelmap(tmp_path / "m.dcm").array.shape == labels.shape


def test_a_stray_image_does_not_hide_that_slices_are_missing(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume(), skip={5})
    with pytest.raises(InputError, match=r"lacks about 1 slice\(s\)"):
        read_volume(appended(tmp_path / "s", [SAGITTAL]))


def test_planes_that_nobody_can_choose_between_are_named(series):
    with pytest.raises(InputError, match="in different planes") as error:
        read_volume(appended(series, [SAGITTAL, CORONAL, SAGITTAL]))
    words = str(error.value)
    assert "12 axial, 20 x 16 pixels of 2 x 2.5 mm (image_1_000.dcm, image_1_001.dcm, image_1_002.dcm, ...)" in words
    assert "2 sagittal, 20 x 16 pixels of 2 x 2.5 mm (LOC_0.dcm, LOC_2.dcm)" in words
    assert "1 coronal, 20 x 16 pixels of 2 x 2.5 mm (LOC_1.dcm)" in words
    assert words.endswith("or move the images that do not belong to it into another folder")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: setattr(data, "PixelSpacing", ["3", "3"]), "different pixel spacings: .*1 axial.*of 3 x 3 mm"),
        (lambda data: delattr(data, "PixelSpacing"), "1 of 13 images whose header gives no pixel spacing .*: LOC_0"),
        (
            lambda data: (setattr(data, "Rows", 10), setattr(data, "PixelData", bytes(2 * 10 * 20))),
            "different sizes, .*1 axial, 20 x 10 pixels",
        ),
        (lambda data: delattr(data, "ImagePositionPatient"), "1 of 13 images whose header gives no position .*: LOC_0"),
        (lambda data: setattr(data, "ImageOrientationPatient", ["0"] * 6), "not parallel: .*LOC_0"),
    ],
)
def test_an_image_that_may_be_a_slice_is_never_left_out(series, change, words):
    axial = [f"{v:.6f}" for v in (1, 0, 0, 0, 1, 0)]
    with pytest.raises(InputError, match=words + ".*another folder"):
        read_volume(appended(series, [axial], change))


def test_a_tilted_slice_of_the_volume_is_no_stray(tmp_path):
    write_dicom_series(tmp_path / "s", make_volume())
    tilted = [f"{v:.6f}" for v in (1, 0, 0, 0, np.cos(0.05), np.sin(0.05))]
    with pytest.raises(InputError, match=r"not parallel: .*LOC_0\.dcm"):
        read_volume(appended(tmp_path / "s", [tilted]))
