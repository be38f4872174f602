"""The command line as a real process: exit statuses, one-line errors, cohorts, JSON, reports."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from helpers.command_line import names, run
from helpers.dicom_series import write_dicom_series
from helpers.packages import random_weights, tiny_spec
from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS, LIVER, LabelSet, structure_named
from LiverMRISegLib.cli import main
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation, write_volume
from LiverMRISegLib.models.package.model_package import save_package


def segment(*arguments, model, **options):
    return run("segment", *arguments, "--model", model, "--device", "cpu", **options)


def fails(done, status, words):
    assert done.returncode == status, done.stderr
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(lines) == 1
    assert re.search(words, lines[0])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "mha", "seg.nrrd"])
def test_one_volume_to_one_file(source, tmp_path, tiny_package, ending):
    output = tmp_path / f"o.{ending}"
    done = segment(source, "-o", output, model=tiny_package)
    assert done.returncode == 0, done.stderr
    assert "liver" in done.stdout
    assert read_labelmap(output).geometry.is_close(read_volume(source).geometry, 1e-3)


def test_dicom_in_dicom_out(tmp_path, tiny_package):
    pytest.importorskip("highdicom")
    volume = make_volume(size=(40, 36, 24))
    write_dicom_series(tmp_path / "study", volume)
    done = segment(tmp_path / "study", "-o", tmp_path / "o.dcm", model=tiny_package)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.dcm").stat().st_size > 1000
    write_dicom_series(tmp_path / "study", volume, uid_suffix="2")
    fails(segment(tmp_path / "study", "-o", tmp_path / "p.nrrd", model=tiny_package), 3, "choose one with --series")
    uid = "1.2.826.0.1.3680043.10.2.2"
    assert segment(tmp_path / "study", "-o", tmp_path / "p.nrrd", "--series", uid, model=tiny_package).returncode == 0


def test_json_and_report(source, tmp_path, tiny_package):
    report = tmp_path / "r.html"
    done = segment(source, "-o", tmp_path / "o.nii.gz", "--json", "--report", report, model=tiny_package)
    (document,) = json.loads(done.stdout)
    assert document["status"] == "done"
    assert set(document["volumes_ml"]) == {o.name for o in CHAOS.organs}
    assert {"read", "prepare", "network", "restore", "write"} <= set(document["provenance"]["seconds"])
    text = report.read_text()
    assert "For research use only" in text
    assert "data:image/png;base64," in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_only_some_organs(source, tmp_path, tiny_package):
    done = segment(source, "-o", tmp_path / "o.nii.gz", "--organs", "liver,left_kidney", "--json", model=tiny_package)
    assert set(json.loads(done.stdout)[0]["volumes_ml"]) == {"liver", "left kidney"}
    assert set(np.unique(read_labelmap(tmp_path / "o.nii.gz").array)) <= {0, 1, 3}
    fails(segment(source, "-o", tmp_path / "p.nii", "--organs", "pancreas", model=tiny_package), 2, "has no 'pancreas'")
    fails(
        segment(source, "-o", tmp_path / "p.nii", "--organs", "heart", model=tiny_package), 2, "unknown organ 'heart'"
    )


def test_a_cohort_goes_on_after_a_bad_case(tmp_path, tiny_package):
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "c"):
        write_volume(make_volume(size=(40, 36, 24)), folder / f"{name}.nii.gz")
    (folder / "b.nii.gz").write_text("no volume at all")
    output.mkdir()
    old = output / "b_seg.nii.gz"
    old.write_text("of last week")
    report = tmp_path / "r.html"
    done = segment(folder, "-o", output, "--report", report, model=tiny_package)
    fails(done, 5, rf"b\.nii\.gz.*; {old} is the result of an earlier call")
    assert names(output) == ["a_seg.nii.gz", "b_seg.nii.gz", "c_seg.nii.gz"]
    table = done.stdout[done.stdout.index("volumes in mL:\n") :].splitlines()
    assert re.fullmatch(r"case +status +liver +right kidney +left kidney +spleen +lowest trust +seconds", table[1])
    assert [line.split()[:2] for line in table[2:5]] == [["a", "done"], ["b", "failed"], ["c", "done"]]
    assert table[5] == "2 done, 1 failed"
    assert re.search(r"Not in this report</h2>\s*<p class=\"flag\">b: failed, .*b\.nii\.gz", report.read_text())
    old.unlink()
    write_volume(make_volume(size=(40, 36, 22)), folder / "a.nii.gz")
    os.utime(folder / "c.nii.gz", (time.time() + 100,) * 2)
    done = segment(folder, "-o", output, "--skip-existing", "--json", model=tiny_package)
    fails(done, 5, r"b\.nii\.gz")
    again = json.loads(done.stdout)
    assert [case["status"] for case in again] == ["skipped", "failed", "skipped"]
    assert ["not the image that this result was made from" in "".join(c["flags"]) for c in again] == [
        True,
        False,
        False,
    ]


def test_a_result_that_is_skipped_may_be_of_something_else(source, tmp_path, tiny_package, capsys):
    output = tmp_path / "out/v_seg.nii.gz"

    def flags(*options, model=tiny_package):
        words = [source, "-o", tmp_path / "out", "--skip-existing", "--json", "--model", model, *options]
        assert main(["segment", *map(str, words)]) == 0
        said = json.loads(capsys.readouterr().out)[0]["flags"]
        return [flag.removesuffix(": delete the result to have it made again") for flag in said]

    assert not [flag for flag in flags() if "result" in flag]
    assert flags() == []
    assert flags("--organs", "liver,spleen,left_kidney,right_kidney") == []
    assert flags("--organs", "liver") == [
        "this result was made with other organs, another frame, or with or without --tta"
    ]
    other = save_package((spec := tiny_spec("other")), random_weights(spec), tmp_path / "other")
    assert flags(model=other) == ["this result was made by tiny 1.0, not by other 1.0"]
    retrained = save_package(tiny_spec(), random_weights(tiny_spec(), seed=1), tmp_path / "retrained")
    assert flags(model=retrained) == ["this result was made by other weights, not by tiny 1.0"]
    newer = save_package((spec := replace(tiny_spec(), version="2.0")), random_weights(spec), tmp_path / "newer")
    assert flags(model=newer) == ["this result was made by tiny 1.0, not by tiny 2.0"]
    # Another patient's image of the same name and grid, older than the result.
    write_volume(make_volume(size=(40, 36, 24), seed=5), source)
    os.utime(source, (0, 0))
    assert flags() == ["the input is not the image that this result was made from, or was changed since"]
    mask = read_labelmap(output)
    write_segmentation(output, mask.array, CHAOS, mask.geometry)
    (edited,) = flags()
    assert "does not say which model made it" in edited
    output.write_bytes(output.read_bytes()[:40])
    (damaged,) = flags()
    assert "cannot be read" in damaged


def test_results_are_told_even_if_the_report_cannot_be_written(source, tmp_path, tiny_package, capsys):
    resource = pytest.importorskip("resource")
    words = ["segment", source, "-o", tmp_path / "o.nii.gz", "--report", tmp_path / "r.html", "--model", tiny_package]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # enough for a mask
    try:
        assert main([str(word) for word in words]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr()
    assert "o.nii.gz written in" in said.out
    assert "r.html: cannot be written" in said.err
    assert names(tmp_path) == ["o.nii.gz", "v.nii.gz"]


def test_a_case_that_cannot_become_dicom_stops_no_other(tmp_path, tiny_package):
    pytest.importorskip("highdicom")
    volume = make_volume(size=(40, 36, 24))
    folder = tmp_path / "in"
    write_dicom_series(folder / "study", volume)
    write_volume(volume, folder / "a.nii.gz")
    done = segment(folder, "-o", tmp_path / "out", "--format", "dcm", model=tiny_package)
    fails(done, 5, "refers to DICOM images")
    assert names(tmp_path / "out") == ["study_seg.dcm"]


def test_wrong_usage(source, tmp_path, tiny_package):
    fails(run("segment", source), 2, "required: -o")
    fails(run("sgement"), 2, "invalid choice")
    fails(segment(source, "-o", tmp_path / "o.xyz", model=tiny_package), 2, "unknown ending")
    fails(segment(source, "-o", source, model=tiny_package), 2, "overwrite the input")
    fails(
        segment(source, source, "-o", tmp_path / "out", model=tiny_package), 2, "v.nii.gz is given twice; give it once"
    )
    fails(segment(source, "-o", tmp_path / "o.dcm", model=tiny_package), 2, "refers to DICOM images")
    fails(segment(source, "-o", tmp_path / "o.nii", "--tta", model=tiny_package), 2, "omit --tta")
    fails(segment(source, "-o", source / "o.nii", model=tiny_package), 2, "cannot be (made|written)")
    fails(
        segment(source, "-o", tmp_path / "o.nii", "--series", "1.2", model=tiny_package),
        2,
        "only a DICOM folder has series",
    )
    assert names(tmp_path) == ["v.nii.gz"]


def test_bad_inputs_and_models_leave_nothing(source, tmp_path, tiny_package):
    fails(segment(tmp_path / "absent.nii.gz", "-o", tmp_path / "new/o.nii", model=tiny_package), 3, "no such file")
    (tmp_path / "bad.nii.gz").write_bytes(source.read_bytes()[:2000])
    fails(segment(tmp_path / "bad.nii.gz", "-o", tmp_path / "new/o.nii", model=tiny_package), 3, "truncated")
    fails(segment(source, "-o", tmp_path / "new/o.nii", model="no-such"), 4, "no-such")
    (tmp_path / "m.zip").write_text("x")
    fails(segment(source, "-o", tmp_path / "new/o.nii", model=tmp_path / "m.zip"), 4, "not a model package")
    assert names(tmp_path) == ["bad.nii.gz", "m.zip", "v.nii.gz"]


def test_ct_is_flagged_not_refused(tmp_path, tiny_package):
    volume = make_volume(size=(40, 36, 24))
    array = np.where(volume.array > 200, volume.array / 4, -1000).astype(np.int16)
    write_volume(type(volume)(array, volume.geometry), tmp_path / "ct.nii.gz")
    done = segment(tmp_path / "ct.nii.gz", "-o", tmp_path / "o.nii.gz", model=tiny_package)
    assert done.returncode == 0
    assert "likely not MR" in done.stdout


def test_models(tmp_path, tiny_package):
    shown = json.loads(run("models", "show", tiny_package, "--json").stdout)
    assert shown["labels"][0]["organ"] == "liver"
    assert shown["labels"][1] == {
        "value": 2, "organ": "right kidney", "snomed_ct": "64033007", "side_snomed_ct": "24028007",
        "color": [212, 126, 151],
    }  # fmt: skip
    assert "is complete and undamaged" in run("models", "verify", tiny_package).stdout
    spec = tiny_spec("mine")
    save_package(spec, random_weights(spec), tmp_path / "mine")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/model.json").write_text("{}")
    listed = run("models", "list", env={"LIVERMRISEG_MODELS": str(tmp_path)})
    assert re.search(r"mine +1\.0", listed.stdout)
    assert "cannot be used" in listed.stdout
    fails(run("models", "verify", tmp_path / "broken"), 4, "schema version None")


def test_evaluate(tmp_path):
    geometry = make_volume().geometry
    reference = np.zeros(geometry.shape, np.uint8)
    reference[2:8, 2:8, 2:8] = 1
    moved = np.roll(reference, 1, axis=2)
    for folder in ("p", "r"):
        (tmp_path / folder).mkdir()
    write_segmentation(tmp_path / "p/a_seg.nii.gz", reference, CHAOS, geometry)
    write_segmentation(tmp_path / "p/b_seg.nii.gz", moved, CHAOS, geometry)
    for name in ("a", "b", "c"):
        write_segmentation(tmp_path / f"r/{name}_label.nii.gz", reference, CHAOS, geometry)
    options = ("evaluate", "--predictions", tmp_path / "p", "--references", tmp_path / "r", "-o", tmp_path / "m.csv")
    done = run(*options, "--labels", "chaos")
    fails(done, 5, "c_label.nii.gz: there is no prediction")
    rows = [line.split(",") for line in (tmp_path / "m.csv").read_text().splitlines()]
    assert rows[0] == [
        "case",
        "organ",
        "dsc",
        "nsd",
        "hd",
        "hd95",
        "hd95_pooled",
        "predicted_ml",
        "reference_ml",
        "error",
    ]
    scores = {(row[0], row[1]): row for row in rows[1:]}
    assert scores["a", "liver"][2] == "1.0000"
    assert float(scores["b", "liver"][2]) == pytest.approx(5 / 6, abs=1e-4)
    assert float(scores["b", "liver"][4]) == pytest.approx(2.0, abs=1e-3)
    assert re.search(r"liver +2 +0\.917", done.stdout)
    (tmp_path / "labels.json").write_text('{"1": "spleen"}')
    done = run(*options, "--labels", tmp_path / "labels.json")
    assert "spleen" in done.stdout
    fails(run(*options, "--labels", tmp_path / "none.json"), 2, "none.json: cannot be read")
    fails(run(*options[:-1], tmp_path), 2, "is a folder")
    fails(run(*options[:-1], tmp_path / "r/a_label.nii.gz"), 2, "is the name of a label map")
    fails(run(*options[:-1], tmp_path / "none/m.csv"), 2, "does not exist")


def test_demo_of_a_model_with_a_structure_that_the_phantom_lacks(tmp_path):
    spec = tiny_spec()
    labels = LabelSet("with tumours", {1: LIVER, 2: structure_named("tumour", 2)})
    save_package(replace(spec, labels=labels, postprocessing={}), random_weights(spec), tmp_path / "m")
    done = run("demo", "-o", tmp_path / "d", "--model", tmp_path / "m", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert re.search(r"tumour .* -\s", done.stdout)


def test_demo(tmp_path, tiny_package):
    done = run("demo", "-o", tmp_path / "d", "--model", tiny_package, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "For research use only" in done.stdout
    endings = {name.partition(".")[2] for name in names(tmp_path / "d")}
    assert {"nii.gz", "seg.nrrd", "png", "html"} <= endings


def test_a_computer_without_torch_segments(source, tmp_path, tiny_package):
    pytest.importorskip("openvino")
    code = "import sys; sys.modules['torch'] = None\nfrom LiverMRISegLib.cli import main\nsys.exit(main(sys.argv[1:]))"
    arguments = ["segment", source, "-o", tmp_path / "o.seg.nrrd", "--model", tiny_package]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.seg.nrrd").exists()


def test_what_needs_more_libraries_names_them(tmp_path):
    code = "import sys; sys.modules['monai'] = None; sys.modules['torch'] = None\n"
    code += "from LiverMRISegLib.cli import main\nsys.exit(main(sys.argv[1:]))"
    (tmp_path / "a.model").write_bytes(b"x")
    for words, extra, arguments in (
        ("evaluation needs torch and monai", "evaluate",
         ("evaluate", "--predictions", tmp_path, "--references", tmp_path, "-o", tmp_path / "m.csv")),
        ("reading a checkpoint needs torch", "torch", ("models", "import", "stunet", tmp_path / "a.model", "mine")),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LIVERMRISEG_MODELS": str(tmp_path / "models")},
        )  # fmt: skip
        fails(done, 2, words)
        assert f"pip install 'livermriseg[{extra}]'" in done.stderr


def test_help_imports_nothing_heavy():
    code = "import sys; sys.argv = ['x', '--help']\ntry:\n    from LiverMRISegLib.cli import main; main(['--help'])\nexcept SystemExit:\n    pass\nprint([m for m in ('numpy', 'torch', 'SimpleITK', 'openvino', 'scipy') if m in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("[]")
