"""What an INPUT stands for: folders of series at any depth, CDs, several series in a folder, archives."""

import json
import re
import zipfile

import pytest

from helpers.dicom_series import whole_numbered_volume, write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.cli import main
from LiverMRISegLib.commands.inputs import find_sources
from LiverMRISegLib.commands.measure_cases import find_cases
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import write_volume

pytest.importorskip("pydicom")


def write_series(folder, number=1, description="T2 axial"):
    write_dicom_series(folder, whole_numbered_volume(), uid_suffix=str(number), description=description)
    return folder


def names(*inputs, **options):
    return [source.name for source in find_sources(inputs, **options).sources]


def test_patients_with_series_in_folders_of_any_depth(tmp_path):
    write_series(tmp_path / "P1" / "MR" / "S1", 1)
    write_series(tmp_path / "P1" / "MR" / "S2", 2)
    write_series(tmp_path / "P2", 3, "T1 VIBE / Dixon: in")
    write_series(tmp_path / "P2", 4, "")
    write_series(tmp_path / "P3" / "only", 1)
    write_volume(make_volume(), tmp_path / "p4.nii.gz")
    (tmp_path / ".hidden").mkdir()
    write_series(tmp_path / ".hidden" / "x")
    expected = ["P1_MR_S1", "P1_MR_S2", "P2_3_T1_VIBE_Dixon_in", "P2_4", "P3_only", "p4"]
    assert names(tmp_path) == expected
    assert find_sources([tmp_path]).is_cohort
    assert names(tmp_path, series="1.2.826.0.1.3680043.10.2.4") == ["P2_4", "p4"]


def test_series_of_one_number_and_description(tmp_path):
    for patient in ("A", "B"):
        write_series(tmp_path / patient / "1", 1)
    write_series(tmp_path / "A_1", 2)
    assert sorted(names(tmp_path)) == ["A_1", "A_1_2", "B_1"]


def test_a_cd_with_one_series_is_that_series(tmp_path):
    write_series(tmp_path / "cd" / "DICOM" / "PAT" / "SER")
    found = find_sources([tmp_path / "cd"])
    assert [source.name for source in found.sources] == ["DICOM_PAT_SER"]
    assert not found.is_cohort


def test_a_cd_among_others_is_read_once(tmp_path):
    for name in ("cd1", "cd2"):
        write_series(tmp_path / name / "DICOM" / "PAT" / "SER")
        (tmp_path / name / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert names(tmp_path) == ["cd1", "cd2"]


def test_links_in_a_circle_end(tmp_path):
    write_series(tmp_path / "a" / "b")
    (tmp_path / "a" / "round").symlink_to(tmp_path, target_is_directory=True)
    assert names(tmp_path) == ["a_b"]


def test_each_series_is_a_case(tmp_path, tiny_package, capsys):
    write_series(tmp_path / "in" / "P1", 1)
    write_series(tmp_path / "in" / "P1", 2, "localizer")
    write_series(tmp_path / "in" / "P2" / "deep", 3)
    broken = sorted((tmp_path / "in" / "P2" / "deep").iterdir())[4]
    broken.write_bytes(broken.read_bytes()[:-50])
    options = ["--model", str(tiny_package), "--device", "cpu", "--json"]
    assert main(["segment", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options]) == 5
    said = capsys.readouterr()
    cases = json.loads(said.out)
    assert [case["status"] for case in cases] == ["done", "done", "failed"]
    assert broken.name in cases[2]["error"]
    assert cases[1]["series"].endswith(".2")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["P1_1_T2_axial_seg.nii.gz", "P1_2_localizer_seg.nii.gz"]
    folder = str(tmp_path / "in" / "P1")
    assert main(["segment", folder, "-o", str(tmp_path / "o.nii"), *options]) == 3
    assert re.search(
        "has 2 series: .*; choose one with --series UID, or all with --series all$", capsys.readouterr().err
    )
    assert main(["segment", folder, "-o", str(tmp_path / "all"), "--series", "all", *options]) == 0
    assert len(list((tmp_path / "all").iterdir())) == 2


def test_what_there_is_instead_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("a.dcm", b"")
    with pytest.raises(InputError, match=r"but archives \(study\.zip\); unpack them and give the folder"):
        names(tmp_path)
    (tmp_path / "study.zip").unlink()
    for patient in ("a", "b"):
        (tmp_path / patient / "anat").mkdir(parents=True)
        write_volume(make_volume(), tmp_path / patient / "anat" / "t2.nii.gz")
    with pytest.raises(InputError, match=r"volumes are in its folders a/anat, b/anat: give these"):
        names(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"contains no volume .* and no DICOM image; check the path"):
        names(tmp_path / "empty")


def test_all_series_of_a_study_with_reports(tmp_path, tiny_package, capsys):
    pytest.importorskip("highdicom")
    for number in ("1", "2"):
        write_dicom_series(tmp_path / "study", make_volume(size=(40, 36, 24)), uid_suffix=number)
    out = tmp_path / "out"
    options = ("--series", "all", "--model", str(tiny_package), "--device", "cpu", "-o", str(out))
    assert main(["segment", str(tmp_path / "study"), "--format", "dcm", "--sr", *options]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f"study_{n}_T2_axial_{kind}.dcm" for n in "12" for kind in ("seg", "sr")
    ]
    capsys.readouterr()
    assert main(["segment", str(tmp_path / "study"), "--sr", *options]) == 2
    assert "--sr: a DICOM SR refers to a DICOM SEG; let OUT end with .dcm" in capsys.readouterr().err


def test_links_in_a_circle_fail_alone(tmp_path, tiny_package, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    write_volume(make_volume(), folder / "a.nii.gz")
    (folder / "loop.nii.gz").symlink_to("loop.nii.gz")
    options = ["--model", str(tiny_package), "--device", "cpu"]
    assert main(["segment", str(folder), "-o", str(tmp_path / "out"), *options]) == 5
    said = capsys.readouterr()
    assert "1 done, 1 failed" in said.out
    assert "loop.nii.gz: is a link to a file that is not here" in said.err


def test_parts_of_one_volume_in_several_folders_fail_and_the_others_go_on(tmp_path, tiny_package, capsys):
    """As exports that begin a new folder after so many images."""
    write_series(tmp_path / "in" / "a")
    (tmp_path / "in" / "b").mkdir()
    for path in sorted((tmp_path / "in" / "a").iterdir())[6:]:
        path.rename(tmp_path / "in" / "b" / path.name)
    for inputs in ([tmp_path / "in"], [tmp_path / "in" / "a", tmp_path / "in" / "b"]):
        problems = [source.problem for source in find_sources(inputs).sources]
        assert re.search(r"a: has only a part .* others are in .*b: move them to one folder", problems[0])
        assert re.search(r"b: has only a part .* others are in .*a: move them to one folder", problems[1])
    measured, _ = find_cases([tmp_path / "in" / "a", tmp_path / "in" / "b"], None, None, None, 1)
    assert [case.source.problem for case in measured] == problems
    write_volume(make_volume(), tmp_path / "in" / "c.nii.gz")
    options = ["--model", str(tiny_package), "--device", "cpu"]
    assert main(["segment", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options]) == 5
    said = capsys.readouterr()
    assert "1 done, 2 failed" in said.out.replace("2 failed, 1 done", "1 done, 2 failed")
    assert "a: has only a part" in said.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c_seg.nii.gz"]


def test_copies_of_a_series_are_volumes(tmp_path):
    write_series(tmp_path / "in" / "a")
    write_series(tmp_path / "in" / "b")
    assert names(tmp_path / "in") == ["a", "b"]
    next(iter((tmp_path / "in" / "b").iterdir())).unlink()
    assert names(tmp_path / "in") == ["a", "b"]


def test_volumes_beside_dicom_images_are_ignored_and_said(tmp_path, caplog):
    """dcm2niix writes its volumes into the folder of the images."""
    write_series(tmp_path / "P1" / "s")
    write_volume(make_volume(), tmp_path / "P1" / "s" / "t2.nii.gz")
    write_volume(make_volume(), tmp_path / "P1" / "s" / "t2_seg.nii.gz")
    for given in (tmp_path / "P1" / "s", tmp_path / "P1", tmp_path):
        caplog.clear()
        assert len(find_sources([given]).sources) == 1
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path / 'P1' / 's'}: has DICOM images, so other volumes in it are ignored: t2.nii.gz"
        ]


def test_images_in_folders_below_dicom_images_are_ignored_and_said(tmp_path, caplog):
    """A stray image beside the folders of a study would be taken for all of it."""
    write_series(tmp_path / "study")
    write_series(tmp_path / "study" / "P1" / "s")
    assert names(tmp_path / "study") == ["study"]
    said = f"{tmp_path / 'study'}: has DICOM images, so those in its folders are ignored: P1/s"
    assert [record.getMessage() for record in caplog.records] == [said]
    caplog.clear()
    assert names(tmp_path) == ["study", "study_P1_s"]
    assert not caplog.records
