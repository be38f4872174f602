"""DICOM files as they come: copies, without preamble, on a CD, in a zip, in any character set."""

import json
import zipfile

import numpy as np
import pytest

from helpers.dicom_series import edited_series, whole_numbered_volume, write_dicom_series
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import find_volumes, is_dicom_folder, list_series, read_volume
from LiverMRISegLib.io.dicom.elements import is_dicom_file
from LiverMRISegLib.io.dicom.text import decoded

pydicom = pytest.importorskip("pydicom")


def assert_read(path):
    volume = read_volume(path)
    assert np.array_equal(volume.array, whole_numbered_volume().array)
    assert volume.geometry.is_close(whole_numbered_volume().geometry, 1e-3)


def test_copies_of_files_are_read_once(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    for path in sorted((tmp_path / "s").iterdir()):
        (tmp_path / "s" / f"{path.stem} (1).dcm").write_bytes(path.read_bytes())
    assert_read(tmp_path / "s")


def test_other_pixels_under_the_same_uid_are_not_a_copy(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    path = sorted((tmp_path / "s").iterdir())[3]
    content = path.read_bytes()
    path.with_name("other.dcm").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="several images at one place"):
        read_volume(tmp_path / "s")


def test_one_uid_for_all_files_loses_none(tmp_path):
    def rename(data, _):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"

    assert_read(edited_series(tmp_path / "s", rename))


def without_preamble(folder, implicit):
    write_dicom_series(folder, whole_numbered_volume())
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        bare = pydicom.Dataset()
        bare.update({element.tag: element for element in data})
        pydicom.dcmwrite(path, bare, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return folder


@pytest.mark.parametrize("implicit", [False, True])
def test_files_without_preamble(tmp_path, implicit):
    folder = without_preamble(tmp_path / "s", implicit)
    assert is_dicom_folder(folder)
    assert find_volumes(tmp_path) == [folder]
    assert_read(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\x08\x00", b"\x08\0" * 100, b"\x08\x00\x05\x00" + b"\xff" * 200, b"x" * 300]
)
def test_what_only_begins_like_a_data_set(tmp_path, content):
    (tmp_path / "a.img").write_bytes(content)
    assert not is_dicom_file(tmp_path / "a.img")


def test_a_cd_with_a_directory(tmp_path):
    write_dicom_series(tmp_path / "cd" / "DICOM" / "PAT" / "SER", whole_numbered_volume())
    with pytest.raises(InputError, match=r"give one of its folders: DICOM/PAT/SER"):
        read_volume(tmp_path / "cd")
    (tmp_path / "cd" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert is_dicom_folder(tmp_path / "cd")
    assert_read(tmp_path / "cd")
    assert_read(tmp_path / "cd" / "DICOMDIR")


@pytest.mark.parametrize("lost", [[3], range(12)], ids=["one", "all"])
def test_links_to_files_that_are_not_here_are_named(tmp_path, lost):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    paths = sorted((tmp_path / "s").iterdir())
    for number in lost:
        paths[number].unlink()
        paths[number].symlink_to(tmp_path / "not here")
    assert find_volumes(tmp_path) == [tmp_path / "s"]
    with pytest.raises(InputError, match=rf"{paths[lost[0]].name}: is a link to a file that is not here"):
        read_volume(tmp_path / "s")


def test_a_zip_names_the_remedy(tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("a.dcm", b"")
    with pytest.raises(InputError, match="unpack it and give the folder"):
        read_volume(tmp_path / "study.zip")


@pytest.mark.parametrize(
    ("declared", "codec", "text"),
    [
        ("ISO_IR 100", "latin-1", "T2 Oberbauch Übersicht"),
        ("ISO_IR 144", "iso8859-5", "печень"),
        ("ISO_IR 192", "utf-8", "肝臓 T1"),
        ("GB18030", "gb18030", "肝脏"),
        ("\\ISO 2022 IR 87", "iso2022_jp", "肝臓"),
        (None, "utf-8", "foie tardif é"),
        (None, "latin-1", "spät"),
    ],
)
def test_descriptions_are_decoded_by_their_character_set(tmp_path, declared, codec, text):
    written = text.encode(codec)
    kept = "x" * (len(written) + len(written) % 2)
    write_dicom_series(tmp_path / "s", whole_numbered_volume(), description=kept)
    for path in (tmp_path / "s").iterdir():
        data = pydicom.dcmread(path)
        if declared is not None:
            data.SpecificCharacterSet = declared.split("\\")
        data.save_as(path)
        path.write_bytes(path.read_bytes().replace(kept.encode(), written.ljust(len(kept))))
    assert list_series(tmp_path / "s")[0].description == text
    assert json.loads(json.dumps(read_volume(tmp_path / "s").metadata))["series description"] == text


def test_text_can_always_be_printed():
    random = np.random.default_rng(0)
    for declared in (b"", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"nonsense"):
        for _ in range(50):
            text = decoded(random.bytes(40), declared)
            assert text.isprintable()
            text.encode("utf-8")
