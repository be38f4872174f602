"""`livermriseg adapt` as a user calls it: killed, resumed, checked, installed, used."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from helpers.corrected_masks import write_bare, write_cases, write_start
from helpers.places import ROOT
from helpers.tiny_data import SHAPE, write_scan
from helpers.warm_python import warm_python
from LiverMRISegLib import extras
from LiverMRISegLib.adaptation import check, training
from LiverMRISegLib.adaptation.adapted_package import learnt_volumes
from LiverMRISegLib.adaptation.check import OrganCheck
from LiverMRISegLib.cli import main
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.volume import Volume


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A start, four corrected volumes, of which one has a liver alone, and two volumes without masks."""
    folder = tmp_path_factory.mktemp("adapt")
    write_start(folder)
    write_cases(folder / "cases")
    mask = folder / "cases/p3_T2WI_seg.nii.gz"
    labels = read_volume(mask, may_be_mask=True)
    write_volume(Volume((labels.array == 1).astype(np.uint8), labels.geometry), mask)
    write_bare(folder / "bare", 2)
    return folder


@pytest.fixture
def models(monkeypatch, tmp_path):
    monkeypatch.setenv("LIVERMRISEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def words(place, *more, cases="cases"):
    given = ["adapt", "--cases", place / cases, "--model", place / "start", "--device", "cpu", *more]
    return [str(word) for word in given]


def process(arguments):
    command = [warm_python(), str(ROOT / "LiverMRISegLib/__main__.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stopped(*_):
    raise KeyboardInterrupt


def test_killed_resumed_installed_and_used(place, models, tmp_path):
    run = tmp_path / "run"
    arguments = words(place, "-o", "mine", "--steps", "26", "--run-folder", run)
    first = process(arguments)
    while not list(run.glob("training/checkpoints/step_00000020.pt")) and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not models.exists()

    bad = write_scan(place / "cases", "bad", "T2WI", 3)[1]
    write_volume(Volume(np.zeros(SHAPE, np.uint8), read_volume(place / "cases/p0_T2WI.nii.gz").geometry), bad)
    second = process(arguments)
    said, noted = second.communicate()
    for path in (place / "cases").glob("bad*"):
        path.unlink()
    assert second.returncode == 5, noted
    assert "cases       4 with masks, 4 patients: T2WI 4" in said
    assert "corrected   liver 4, spleen 3" in said
    assert "held out    p0_T2WI: not learnt from" in said
    assert "26 steps, resumed" in said
    assert "organ   volumes  before  after" in said
    assert f"{models / 'mine'} written; use it as --model mine" in said
    assert "bad_T2WI.nii.gz: its mask is empty; left out" in noted
    assert "Traceback" not in noted
    steps = [json.loads(line)["step"] for line in (run / "training/metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 26

    package = ModelPackage.load(models / "mine")
    package.verify()
    spec, old = package.spec, ModelPackage.load(place / "start").spec
    assert (spec.name, spec.version, spec.weights_license) == ("mine", "1.0", old.weights_license)
    assert (spec.inference, spec.preparation, spec.postprocessing) == (
        old.inference,
        old.preparation,
        old.postprocessing,
    )
    assert spec.task == "four organs; adapted with 3 corrected volumes (T2WI)"
    assert "Adapted from start 1.0" in spec.intended_use
    (stage,) = spec.provenance
    assert stage["start"] == "start 1.0"
    assert stage["corrected organs"] == {"liver": 3, "spleen": 2}
    assert (stage["labelled scans"], stage["held-out volumes"]) == (3, 1)
    assert str(place) not in json.dumps(stage, default=dict)
    assert len(learnt_volumes(spec)) == 3
    assert [(metric["cases"], metric["figure"]) for metric in spec.metrics] == [
        (1, "mean Dice"), (1, "mean Dice of start 1.0"),
    ]  # fmt: skip
    assert {"liver", "spleen"} < set(spec.metrics[0])
    result = Segmenter.load("mine", "cpu").segment(read_volume(place / "bare/u0_T2WI.nii.gz"))
    assert result.labelmap.shape == SHAPE
    assert set(result.volumes_ml) == {"liver", "right kidney", "left kidney", "spleen"}


def test_an_existing_name_is_refused_before_any_work(place, models, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(words(place, "-o", "liver-any-sequence", "--run-folder", run)) == 2
    assert "is the name of a model that came with LiverMRISeg" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(words(place, "-o", "mine", "--steps", "0", "--run-folder", run))
    assert "--steps: must be between 1 and 1000000, not 0" in capsys.readouterr().err
    assert not run.exists()
    before = sorted(place.rglob("*"))
    for folder in (place, place / "cases"):
        assert main(words(place, "-o", "mine", "--run-folder", folder)) == 2
        assert "contains the volumes of --cases; choose another folder" in capsys.readouterr().err
    assert sorted(place.rglob("*")) == before


def test_a_missing_library_and_bad_cases_leave_nothing_behind(place, models, tmp_path, capsys, monkeypatch):
    arguments = words(place, "-o", "mine", "--run-folder", tmp_path / "run", cases="bare")
    assert main(arguments) == 3
    assert "contains no mask; save it as NAME_label" in capsys.readouterr().err
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "monai" else name)
    assert main(arguments) == 2
    assert "adapting a model needs monai: pip install 'livermriseg[train]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_worse_model_is_not_installed_unless_asked(place, models, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "check_held_out", lambda *_: [OrganCheck("liver", 1, 0.9, 0.8)])
    arguments = words(place, "-o", "mine", "--steps", "1", "--run-folder", tmp_path / "run")
    write_bare(place / "cases", 1)
    with monkeypatch.context() as patch:
        patch.setattr(training, "train_package", stopped)
        assert main(arguments) == 130
    noted = capsys.readouterr().err
    assert "u0_T2WI.nii.gz: has no mask; ignored" in noted
    assert f"--unlabelled {place / 'cases'} lets the model learn from the volumes without masks too" in noted
    assert f"the same command resumes the work in {tmp_path / 'run'}" in noted
    assert main(arguments) == 4
    assert "is worse than start on the held-out volumes (mean Dice 0.800, before 0.900) and is not installed" in (
        capsys.readouterr().err
    )
    assert not models.exists()
    assert main([*arguments, "--keep-anyway"]) == 0
    assert ModelPackage.load(models / "mine").spec.metrics[0]["liver"] == 0.8


def test_volumes_without_masks_are_learnt_from_too(place, models, tmp_path, capsys):
    few = write_cases(tmp_path / "few", 2)
    write_bare(few, 2)
    arguments = words(place, "-o", "mine", "--steps", "2", "--run-folder", tmp_path / "run")
    arguments[2] = str(few)
    assert main([*arguments, "--unlabelled", str(few)]) == 0
    said, noted = capsys.readouterr()
    assert "has no mask" not in noted
    assert "held out    none: fewer than 4 patients" in said
    assert "unlabelled  2 volumes, by cross pseudo supervision" in said
    assert "masks of the old and the new model, 2 volumes without masks" in said
    spec = ModelPackage.load(models / "mine").spec
    assert spec.task.endswith("adapted with 2 corrected volumes (T2WI) and 2 volumes without masks")
    assert len(learnt_volumes(spec)) == 4
    assert (spec.network.members, spec.metrics) == (1, ())
    assert spec.provenance[0]["method"] == "CrossPseudoStageConfig"
    assert spec.provenance[0]["unlabelled scans"] == 2
