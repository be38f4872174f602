"""DICOM folders: one series, several, none, incomplete."""

import warnings

import numpy as np
import pytest

from helpers.dicom_series import edited_series as edited
from helpers.dicom_series import whole_numbered_volume as series
from helpers.dicom_series import write_dicom_series
from helpers.volumes import all_directions, make_volume, oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.io import find_volumes, is_dicom_folder, list_series, read_volume, write_segmentation

pydicom = pytest.importorskip("pydicom")
# Directions with a right-handed set of axes: slices are stacked along the normal.
PROPER = [d for d in all_directions() + oblique_directions() if np.linalg.det(d) > 0]


@pytest.mark.parametrize("number", range(0, len(PROPER), 3))
def test_a_series_is_read_in_place(tmp_path, number):
    volume = series(PROPER[number])
    write_dicom_series(tmp_path / "s", volume)
    back = read_volume(tmp_path / "s")
    assert back.geometry.is_close(volume.geometry, 1e-2)
    assert np.array_equal(back.array.astype(np.float32), volume.array)
    assert back.metadata["modality"] == "MR"
    assert back.metadata["series description"] == "T2 axial"


def test_no_name_of_a_patient_is_kept(tmp_path):
    write_dicom_series(tmp_path / "s", series())
    assert "ecret" not in repr(read_volume(tmp_path / "s").metadata)


def test_several_series_are_listed_and_one_is_chosen(tmp_path):
    write_dicom_series(tmp_path, series(), uid_suffix="1")
    write_dicom_series(tmp_path, series(), uid_suffix="2", description="T1 in phase")
    found = list_series(tmp_path)
    assert [s.number for s in found] == [1, 2]
    with pytest.raises(InputError, match=r"T1 in phase, MR, 12 images\); choose one with --series"):
        read_volume(tmp_path)
    chosen = read_volume(tmp_path, series=found[1].uid)
    assert chosen.metadata["series description"] == "T1 in phase"
    with pytest.raises(InputError, match=r"has no series 1\.2\.3"):
        read_volume(tmp_path, series="1.2.3")


def test_missing_slices_are_named(tmp_path):
    write_dicom_series(tmp_path / "s", series(), skip=(5, 6))
    with pytest.raises(InputError, match=r"lacks about 2 slice\(s\) between 47\.0 mm and 59\.0 mm"):
        read_volume(tmp_path / "s")


def test_two_images_at_one_place(tmp_path):
    volume = series()
    write_dicom_series(tmp_path / "s", volume)
    first = sorted((tmp_path / "s").iterdir())[0]
    data = pydicom.dcmread(first)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1.1.99"
    data.save_as(tmp_path / "s" / "twice.dcm")
    with pytest.raises(InputError, match="several images at one place"):
        read_volume(tmp_path / "s")


def test_folders_without_images(tmp_path):
    with pytest.raises(InputError, match="no DICOM image"):
        read_volume(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="no DICOM image"):
        read_volume(tmp_path)
    assert not is_dicom_folder(tmp_path)


@pytest.mark.parametrize("number", [0, 5, 11])
@pytest.mark.parametrize("kept", [400, -300])
def test_a_truncated_file_is_named(tmp_path, number, kept):
    write_dicom_series(tmp_path / "s", series())
    path = sorted((tmp_path / "s").iterdir())[number]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=f"1 DICOM file.*damaged, the first is {path.name}"):
        read_volume(tmp_path / "s")


@pytest.mark.parametrize("kept", [0, 300, 638])
@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"])
def test_images_that_lack_pixels(tmp_path, kept, syntax):
    """Files whose parts agree with each other, but hold fewer pixels than rows and columns."""

    def cut(data, number):
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
        if number == 7:
            data.PixelData = data.PixelData[:kept]

    with pytest.raises(InputError, match=r"image_1_007\.dcm: lacks part of its pixels"):
        read_volume(edited(tmp_path / "s", cut))


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "RLELossless"])
def test_whole_images_with_padding_or_compression(tmp_path, syntax):
    def change(data, _):
        if syntax == "RLELossless":
            data.compress(pydicom.uid.RLELossless)
            return
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
        data.DataSetTrailingPadding = b"\0" * 50

    back = read_volume(edited(tmp_path / "s", change))
    assert np.array_equal(back.array.astype(np.float32), series().array)


def test_reports_and_results_beside_the_images_are_passed_over(tmp_path):
    write_dicom_series(tmp_path, series())
    report = pydicom.dcmread(sorted(tmp_path.iterdir())[0])
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "ImagePositionPatient", "PixelSpacing"):
        delattr(report, keyword)
    report.Modality, report.SeriesInstanceUID = "SR", "1.2.826.0.1.3680043.10.77"
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = pydicom.uid.BasicTextSRStorage
    report.save_as(tmp_path / "report.dcm")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    volume = read_volume(tmp_path)
    assert volume.array.shape == (12, 16, 20)
    pytest.importorskip("highdicom")
    write_segmentation(
        tmp_path / "result.dcm", np.ones(volume.array.shape, np.uint8), CHAOS, volume.geometry, source=volume
    )
    assert [s.count for s in list_series(tmp_path)] == [12]
    (tmp_path / "results").mkdir()
    (tmp_path / "result.dcm").rename(tmp_path / "results" / "result.dcm")
    assert not is_dicom_folder(tmp_path / "results")


def test_every_image_keeps_its_own_scale(tmp_path):
    def scale(data, number):
        data.RescaleSlope, data.RescaleIntercept = f"{1 + number / 8}", "-0.5"

    expected = series().array * (1 + np.arange(12) / 8)[:, None, None] - 0.5
    assert np.allclose(read_volume(edited(tmp_path / "s", scale)).array, expected, atol=1e-3)


def test_slices_shifted_in_their_plane(tmp_path):
    def tilt(data, number):
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y + number * 1.0, z]

    with pytest.raises(InputError, match="tilted gantry"):
        read_volume(edited(tmp_path / "s", tilt))


@pytest.mark.parametrize("spacing", [None, [0, 0], [-1, 1]])
def test_images_without_a_pixel_spacing(tmp_path, spacing):
    with pytest.raises(InputError, match="gives no pixel spacing"):
        read_volume(edited(tmp_path / "s", lambda data, _: setattr(data, "PixelSpacing", spacing)))


def test_images_without_a_position(tmp_path):
    with pytest.raises(InputError, match="gives no position"):
        read_volume(edited(tmp_path / "s", lambda data, _: delattr(data, "ImagePositionPatient")))


def test_an_image_of_another_size(tmp_path):
    def halve(data, _):
        data.Rows, data.PixelData = 8, data.PixelData[: len(data.PixelData) // 2]

    with pytest.raises(InputError, match="do not fit together"):
        read_volume(edited(tmp_path / "s", halve, only=[3]))


def test_a_single_image(tmp_path):
    write_dicom_series(tmp_path / "s", series(), skip=range(1, 12))
    for place in (tmp_path / "s", next((tmp_path / "s").iterdir())):
        with pytest.raises(InputError, match="single DICOM image; give the folder"):
            read_volume(place)


def test_a_folder_of_folders_names_them(tmp_path):
    write_dicom_series(tmp_path / "T2", series())
    with pytest.raises(InputError, match="give one of its folders: T2"):
        read_volume(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_series(tmp_path / "absent")


def test_no_message_quotes_the_patient(tmp_path):
    pytest.importorskip("highdicom")

    def as_written_by_hand(data, _):
        data.PatientName = "DoeJane"
        data.PatientBirthDate = "19.05.1950"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume = read_volume(edited(tmp_path / "s", as_written_by_hand))
    labels = np.ones(volume.array.shape, np.uint8)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(OutputError, match="do not allow") as raised:
            write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    words = " ".join([str(raised.value), *(str(warning.message) for warning in told)])
    assert "Doe" not in words
    assert "1950" not in words


def test_dicom_folders_are_found_among_volumes(tmp_path):
    write_dicom_series(tmp_path / "study", series())
    assert [p.name for p in find_volumes(tmp_path)] == ["study"]


def test_a_series_can_only_be_chosen_in_a_folder(tmp_path):
    (tmp_path / "v.nii").write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file"):
        read_volume(tmp_path / "v.nii", series="1")


def test_the_folder_may_be_spelled_in_any_way(tmp_path, monkeypatch):
    write_dicom_series(tmp_path / "s", series())
    monkeypatch.chdir(tmp_path / "s")
    for spelled in (".", "../s", "./"):
        assert read_volume(spelled).array.shape == series().array.shape
    monkeypatch.chdir(tmp_path)
    assert read_volume("s/").array.shape == series().array.shape


def test_hidden_files_are_passed_over(tmp_path):
    write_dicom_series(tmp_path / "s", series())
    first = sorted((tmp_path / "s").iterdir())[0]
    (tmp_path / "s" / f"._{first.name}").write_bytes(first.read_bytes()[:2000])
    assert read_volume(tmp_path / "s").array.shape == series().array.shape


@pytest.mark.parametrize("signed", [False, True])
def test_inverted_images_are_turned_back(tmp_path, signed):
    """MONOCHROME1: a viewer shows the lowest value as white."""
    volume = series()
    high = int(volume.array.max()) + int(volume.array.min())

    def invert(data, number, photometric="MONOCHROME1"):
        kind = np.int16 if signed else np.uint16
        data.PhotometricInterpretation, data.PixelRepresentation = photometric, int(signed)
        data.PixelData = (high - volume.array[number]).astype(kind).tobytes()

    found = read_volume(edited(tmp_path / "s", invert))
    assert np.array_equal(found.array, volume.array)
    assert "MONOCHROME1: low values are bright" in found.metadata["notes"][0]
    edited(tmp_path / "mixed", invert, only=range(3))
    with pytest.raises(InputError, match="some are inverted"):
        read_volume(tmp_path / "mixed")


@pytest.mark.parametrize("columns", [20, 19])
def test_bytes_in_big_endian_words(tmp_path, columns):
    """8 bits a pixel with the VR OW: of every two the second is stored first, also across rows."""
    made = np.random.default_rng(0).integers(0, 256, (12, 16, columns)).astype(np.uint8)
    write_dicom_series(tmp_path / "s", make_volume(size=(columns, 16, 12)))
    for plane, path in zip(made, sorted((tmp_path / "s").iterdir()), strict=True):
        data = pydicom.dcmread(path)
        data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
        data.PixelData = np.frombuffer(plane.tobytes(), ">u2").astype("<u2").tobytes()
        data["PixelData"].VR = "OW"
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False, force_encoding=True)
    assert np.array_equal(read_volume(tmp_path / "s").array, made)
