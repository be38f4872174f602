"""4D files at the command line: one frame, or all as a cohort with a table over time."""

import csv
import json
import re

import nibabel
import numpy as np
import pytest

from helpers.dicom_series import write_shared_series
from helpers.volumes import make_volume
from LiverMRISegLib.cli import main
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.volume import Volume


@pytest.fixture
def dynamic(tmp_path):
    """Three frames, 2.5 s apart."""
    frames = np.stack([make_volume(size=(40, 36, 24), seed=seed).array for seed in range(3)])
    image = nibabel.Nifti1Image(frames.T, np.diag([-2.0, -2.5, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 2500.0
    nibabel.save(image, tmp_path / "dyn.nii.gz")
    return tmp_path / "dyn.nii.gz"


def segment(tiny_package, *arguments):
    return main(["segment", *map(str, arguments), "--model", str(tiny_package), "--device", "cpu"])


def test_one_frame(dynamic, tiny_package, tmp_path, capsys):
    assert segment(tiny_package, dynamic, "-o", tmp_path / "m.nii.gz", "--frame", "2", "--json") == 0
    (case,) = json.loads(capsys.readouterr().out)
    assert case["frame"] == 2
    assert nibabel.load(tmp_path / "m.nii.gz").shape == (40, 36, 24)
    assert np.array_equal(read_volume(dynamic, frame=2).array, make_volume(size=(40, 36, 24), seed=1).array)
    assert segment(tiny_package, dynamic, "-o", tmp_path / "m.nii.gz") == 3
    assert "has 3 frames; choose one with --frame N (1 to 3), or all with --frame all" in capsys.readouterr().err
    assert segment(tiny_package, dynamic, "-o", tmp_path / "m.nii.gz", "--frame", "4") == 3
    assert "has no frame 4; it has 3" in capsys.readouterr().err


def test_all_frames_and_a_table_over_time(dynamic, tiny_package, tmp_path, capsys):
    assert segment(tiny_package, dynamic, "-o", tmp_path / "out", "--frame", "all") == 0
    assert "table: " in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["dyn_frame_01_seg.nii.gz", "dyn_frame_02_seg.nii.gz", "dyn_frame_03_seg.nii.gz", "dyn_frames.csv"]
    with (tmp_path / "out/dyn_frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["seconds"], row["status"]) for row in rows] == [
        ("1", "0", "done"), ("2", "2.5", "done"), ("3", "5", "done"),
    ]  # fmt: skip
    for row in rows:
        mask = np.asanyarray(nibabel.load(tmp_path / f"out/dyn_frame_0{row['frame']}_seg.nii.gz").dataobj)
        assert float(row["liver mL"]) == pytest.approx((mask == 1).sum() * 20 / 1000, abs=1e-3)


def test_a_frame_is_not_taken_for_another_one(dynamic, tiny_package, tmp_path):
    out = tmp_path / "out"
    for number in ("1", "3"):
        assert segment(tiny_package, dynamic, "-o", out, "--frame", number, "--skip-existing") == 0
    assert sorted(path.name for path in out.iterdir()) == ["dyn_frame_01_seg.nii.gz", "dyn_frame_03_seg.nii.gz"]
    assert segment(tiny_package, dynamic, "-o", out, "--frame", "4") == 3
    (tmp_path / "single").mkdir()
    nibabel.save(nibabel.load(dynamic).slicer[..., 0], tmp_path / "single/s.nii.gz")
    assert segment(tiny_package, tmp_path / "single/s.nii.gz", "-o", tmp_path / "one", "--frame", "1") == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["s_seg.nii.gz"]


def test_frames_that_are_skipped_stay_in_the_table(dynamic, tiny_package, tmp_path):
    out, table = tmp_path / "out", tmp_path / "out/dyn_frames.csv"
    assert segment(tiny_package, dynamic, "-o", out, "--frame", "all") == 0
    before = list(csv.DictReader(table.read_text().splitlines()))
    (out / "dyn_frame_02_seg.nii.gz").unlink()
    assert segment(tiny_package, dynamic, "-o", out, "--frame", "all", "--skip-existing") == 0
    after = list(csv.DictReader(table.read_text().splitlines()))
    assert [row.pop("status") for row in after] == ["skipped", "done", "skipped"]
    assert [row.pop("status") for row in before] == ["done"] * 3
    assert after == before


def test_trust_in_tables_json_and_report(dynamic, trusted_package, tmp_path, capsys):
    assert segment(trusted_package, dynamic, "-o", tmp_path / "m.nii.gz", "--frame", "2") == 0
    said = capsys.readouterr().out
    first = re.search(r"look at this organ first: (.+) ([\d.]+)\n", said)
    assert re.search(rf"{first[1]} +[\d.]+ +{first[2]}\n", said)
    report = tmp_path / "r.html"
    arguments = (dynamic, "-o", tmp_path / "out", "--frame", "all", "--json", "--report", report)
    assert segment(trusted_package, *arguments) == 0
    cases = json.loads(capsys.readouterr().out)
    found = {organ for case in cases for organ in case["trust"]}
    assert found
    assert all(0 <= score <= 1 for case in cases for score in case["trust"].values())
    low = min(cases[1]["trust"], key=cases[1]["trust"].get)
    assert (low, f"{cases[1]['trust'][low]:.2f}") == (first[1], first[2])
    assert f"{low} has trust {first[2]}: check the outline" in cases[1]["flags"]
    assert f"Look at this organ first: <strong>{low} (trust {first[2]})" in report.read_text()
    with (tmp_path / "out/dyn_frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, case in zip(rows, cases, strict=True):
        assert {o: float(row[f"{o} trust"]) for o in found if row[f"{o} trust"]} == pytest.approx(case["trust"])


def phases(folder):
    """Two phases in one DICOM series, 20 s apart."""
    pytest.importorskip("pydicom")

    def change(data, number, _):
        data.TemporalPositionIdentifier, data.AcquisitionTime = number + 1, f"1000{20 * number:02d}"

    made = [make_volume(size=(40, 36, 24), seed=seed) for seed in range(2)]
    return write_shared_series(folder, [Volume(v.array.astype(np.uint16), v.geometry) for v in made], change)


def test_phases_of_a_dicom_series(tiny_package, tmp_path, capsys):
    folder = phases(tmp_path / "dce")
    assert segment(tiny_package, folder, "-o", tmp_path / "m.nii.gz") == 3
    assert "2 volumes that differ in time point (1; 2); choose one with --frame N" in capsys.readouterr().err
    assert segment(tiny_package, folder, "-o", tmp_path / "m.nii.gz", "--frame", "2") == 0
    assert segment(tiny_package, folder, "-o", tmp_path / "out", "--frame", "all") == 0
    mask = nibabel.load(tmp_path / "out/dce_frame_02_seg.nii.gz").get_fdata()
    assert np.array_equal(mask, nibabel.load(tmp_path / "m.nii.gz").get_fdata())
    with (tmp_path / "out/dce_frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["volume"], row["seconds"]) for row in rows] == [
        ("1", "time point 1", "0"), ("2", "time point 2", "20"),
    ]  # fmt: skip


@pytest.mark.parametrize("frame", ["0", "-1", "x", "\u0661", "1.5"])
def test_what_is_not_a_frame(frame, dynamic, tiny_package, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        segment(tiny_package, dynamic, "-o", tmp_path / "m.nii.gz", f"--frame={frame}")
    assert error.value.code == 2
    assert "is not a frame; give a number from 1, or all" in capsys.readouterr().err


def test_a_cohort_with_files_of_one_frame_and_of_none(dynamic, tiny_package, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    dynamic.rename(folder / "dyn.nii.gz")
    (folder / "gone.nii.gz").symlink_to("../.git/annex/objects/gone.nii.gz")
    assert segment(tiny_package, folder, "-o", tmp_path / "out", "--frame", "all") == 5
    said = capsys.readouterr()
    assert "gone.nii.gz: is a link to a file that is not here" in said.err
    assert "3 done, 1 failed" in said.out
