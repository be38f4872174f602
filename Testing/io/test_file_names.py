"""Names of cases from names of files."""

from pathlib import Path

import pytest

from LiverMRISegLib.io.file_names import name_of


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("case 1.nii.gz", "case 1"), ("a.b.nii", "a.b"), ("A.NII.GZ", "A"), ("a_seg.seg.nrrd", "a_seg"),
        ("a.nrrd", "a"), ("a.hdr", "a"), ("a.img", "a"), ("a.gz", "a"), ("IM0001", "IM0001"), (".nii", ".nii"),
    ],
)  # fmt: skip
def test_a_file_loses_all_of_its_formats_ending(file, name):
    assert name_of(Path("somewhere") / file) == name


def test_a_folder_keeps_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "patient.nii"
    folder.mkdir()
    assert name_of(folder) == "patient.nii"
    monkeypatch.chdir(folder)
    assert name_of(Path()) == "patient.nii"
