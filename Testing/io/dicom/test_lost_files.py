"""Images that a folder had: packed, empty, pointers, of other examinations. None is left out in silence."""

import gzip

import numpy as np
import pytest

from helpers.dicom_series import dicom_item, edited_series, whole_numbered_volume, write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.commands.inputs import find_sources
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import find_volumes, is_dicom_folder, read_volume, write_volume

pydicom = pytest.importorskip("pydicom")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
LAST = {
    "packed": (lambda path: path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes())), "gunzip"),
    "empty": (lambda path: path.with_name("lost.dcm").write_bytes(b""), r"1 DICOM file\(s\) are truncated"),
    "a web page": (lambda path: path.with_name("lost.dcm").write_bytes(b"<html>" * 99), r"1 DICOM file\(s\) are"),
    "a pointer": (lambda path: path.with_name("lost.dcm").write_bytes(POINTER), "only a pointer to the file"),
    "an annexed one": (lambda path: path.with_name("lost.dcm").write_bytes(b"/annex/objects/SHA256E-s1"), "git annex"),
}


@pytest.mark.parametrize(("lose", "words"), LAST.values(), ids=LAST)
def test_the_last_image_is_missed(tmp_path, lose, words):
    """Without it, the rest is a sound volume of a slice less."""
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    path = sorted((tmp_path / "s").iterdir())[-1]
    lose(path)
    path.unlink()
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "s")


def test_empty_files_without_ending(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    for number, path in enumerate(sorted((tmp_path / "s").iterdir())):
        path.rename(path.with_name(f"IM{number:03d}"))
    (tmp_path / "s/README").write_text("not an image")
    assert read_volume(tmp_path / "s").array.shape[0] == 12
    (tmp_path / "s/IM011").write_bytes(b"")
    with pytest.raises(InputError, match="truncated or damaged, the first is IM011"):
        read_volume(tmp_path / "s")


def test_a_folder_of_nothing_but_lost_files_is_a_case(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.dcm.gz").write_bytes(gzip.compress(b"x"))
    assert find_volumes(tmp_path) == [tmp_path / "s"]
    (tmp_path / "v").mkdir()
    write_volume(make_volume(), tmp_path / "v/scan.nii.gz")
    (tmp_path / "v/stray.dcm").write_bytes(b"")
    assert not is_dicom_folder(tmp_path / "v")


def test_a_pointer_for_a_volume(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(POINTER)
    with pytest.raises(InputError, match="is only a pointer to the file; fetch it first"):
        read_volume(tmp_path / "a.nii.gz")


def test_a_folder_called_as_the_volume_in_it(tmp_path):
    """As some programs unpack archives: scan.nii.gz/scan.nii."""
    (tmp_path / "scan.nii.gz").mkdir()
    write_volume(make_volume(), tmp_path / "scan.nii.gz/scan.nii")
    assert [source.files[0] for source in find_sources([tmp_path]).sources] == [tmp_path / "scan.nii.gz/scan.nii"]


def test_mosaics_name_the_remedy(tmp_path):
    def change(data, number):
        data.ImageType, data.ImagePositionPatient = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], [0, 0, 0]
        data.AcquisitionNumber = number + 1

    edited_series(tmp_path / "s", change)
    with pytest.raises(InputError, match=r"is a Siemens mosaic.*dcm2niix"):
        read_volume(tmp_path / "s")
    for path in sorted((tmp_path / "s").iterdir())[1:]:
        path.unlink()
    with pytest.raises(InputError, match=r"is a Siemens mosaic.*dcm2niix"):
        read_volume(tmp_path / "s")


def test_images_at_one_place_alone(tmp_path):
    folder = edited_series(tmp_path / "s", lambda data, _: setattr(data, "ImagePositionPatient", [0, 0, 0]))
    with pytest.raises(InputError, match="several images at one place"):
        read_volume(folder)


def test_two_patients_under_one_uid(tmp_path):
    folder = edited_series(tmp_path / "s", lambda data, _: None)
    for path in sorted(folder.iterdir()):
        data = pydicom.dcmread(path)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{data.SOPInstanceUID}.9"
        data.StudyInstanceUID, data.InstanceNumber = "1.2.3.4", 1000 - int(data.InstanceNumber)
        data.PixelData = np.frombuffer(data.PixelData, np.uint16)[::-1].tobytes()
        data.save_as(path.with_name(f"other {path.name}"))
    with pytest.raises(InputError, match=r"2 volumes that differ in study \("):
        read_volume(folder)
    assert np.array_equal(read_volume(folder, frame=1).array, whole_numbered_volume().array)


def test_slices_of_two_examinations_make_no_volume(tmp_path):
    def change(data, number):
        data.FrameOfReferenceUID = "1.2.3.4" if number < 6 else "1.2.3.5"

    with pytest.raises(InputError, match="of 2 frames of reference"):
        read_volume(edited_series(tmp_path / "s", change))


def test_high_padding_is_outside_of_the_image(tmp_path):
    def change(data, _):
        data.add_new(0x00280120, "US", 65535)
        pixels = np.frombuffer(data.PixelData, np.uint16).copy()
        pixels[:40] = 65535
        data.PixelData = pixels.tobytes()

    found = read_volume(edited_series(tmp_path / "s", change))
    expected = whole_numbered_volume().array.reshape(12, -1).copy()
    expected[:, :40] = expected[:, 40:].min()
    assert np.array_equal(found.array.reshape(12, -1), expected)
    assert "is padding" in found.metadata["notes"][0]


def test_values_by_a_table_are_refused(tmp_path):
    def change(data, _):
        data.ModalityLUTSequence = [dicom_item(ModalityLUTType="US")]

    with pytest.raises(InputError, match="Modality LUT"):
        read_volume(edited_series(tmp_path / "s", change))
