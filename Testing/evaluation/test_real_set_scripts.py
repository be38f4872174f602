"""The scripts that judge the default model, as real processes on a small data folder of the same layout."""

import csv
import json
import re
import runpy
import sys

import numpy as np
import pytest

from helpers.places import ROOT
from helpers.tiny_data import run_script
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import BTCV, CHAOS, LIVER, RIGHT_KIDNEY, TOTAL_MR
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.volume import Volume


@pytest.fixture
def data(tmp_path):
    """Two T2 volumes with four organs, a T1 and two CT with a liver, one with a labelled slice, two of one body."""
    for folder, image, label, values in (
        ("mr_t2_liver_kidneys_spleen", "mr_01.nii.gz", "mr_01_label.nii.gz", list(CHAOS)),
        ("mr_t2_liver_kidneys_spleen", "mr_02.nii.gz", "mr_02_label.nii.gz", list(CHAOS)),
        ("ct_multiorgan", "ct_05.nii.gz", "ct_05_label.nii.gz", [BTCV.value_of(LIVER)]),
        ("ct_multiorgan", "ct_06.nii.gz", "ct_06_label.nii.gz", [BTCV.value_of(LIVER)]),
        ("mr_t1_slab", "example_mr_sm.nii.gz", "example_seg_mr.nii.gz", [TOTAL_MR.value_of(LIVER)]),
    ):
        volume = make_volume(size=(40, 36, 14), spacing=(4.0, 4.0, 7.0), seed=len(image) + len(label))
        labels = np.zeros(volume.geometry.shape, np.uint8)
        for number, value in enumerate(values):
            labels[3:11, 4 + 7 * number : 10 + 7 * number, 5:30] = value
        (tmp_path / folder).mkdir(exist_ok=True)
        write_volume(volume, tmp_path / folder / image)
        write_volume(Volume(labels, volume.geometry), tmp_path / folder / label)
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[5, 8:20, 8:16] = CHAOS.value_of(RIGHT_KIDNEY)
    for folder in ("mr_coronal_gre", "mr_t1_flip_angles"):
        (tmp_path / folder).mkdir()
        write_volume(volume, tmp_path / folder / "one_e1.nii.gz")
    write_volume(Volume(labels, volume.geometry), tmp_path / "mr_coronal_gre/one_e1_label.nii.gz")
    write_volume(volume, tmp_path / "mr_t1_flip_angles/two.nii.gz")
    return tmp_path


def called(script, *arguments):
    return run_script([sys.executable, str(ROOT / "scripts" / "train" / script), *map(str, arguments)])


def test_the_default_models_figures(data, tiny_package, tmp_path):
    done = called("evaluate_any_sequence.py", "--model", tiny_package, "--data", data, "--output", tmp_path / "eval")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert [entry["cases"] for entry in metrics] == [2, 1, 1, 1]
    assert {organ.name for organ in CHAOS.organs} <= metrics[0].keys()
    tables = (tmp_path / "eval" / "tables.md").read_text()
    assert "| mr_02 |" in tables
    assert "| called the other side, most | - | " in tables
    agreed = next(line for line in tables.splitlines() if line.startswith("Five contrasts of one body"))
    assert re.findall(r"\d\.\d+", agreed)
    assert set(re.findall(r"\d\.\d+", agreed)) == {"1.000"}
    assert (tmp_path / "eval" / "sheet.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "eval" / "scores.csv").open()))
    assert len(rows) == 2 * 4 + 1 + 1 + 1


def test_slices_without_labels_are_not_scored(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts/train")
    reference = make_volume(size=(6, 5, 4))
    labels, found = (np.zeros(reference.geometry.shape, np.uint8) for _ in range(2))
    labels[2, 1:3], found[:, 1:3] = 2, 2
    only_labelled = runpy.run_path(str(ROOT / "scripts/train/real_sets.py"))["only_labelled"]
    prediction = only_labelled(Volume(found, reference.geometry), Volume(labels, reference.geometry))
    assert np.array_equal(prediction.array, labels)


def test_robustness_of_every_corruption(data, tiny_package, tmp_path):
    output = tmp_path / "robust"
    done = called("evaluate_robustness.py", "--model", tiny_package, "--data", data, "--cases", 1, "--output", output)
    assert done.returncode == 0, done.stderr
    table = (output / "robustness.md").read_text()
    for kind in ("clean", "noise", "bias field", "slices", "rotation about x", "slab", "inversion", "gamma"):
        assert f"| {kind} " in table
    assert "mr_01" in (output / "robustness.csv").read_text()


def test_a_folder_without_the_data_is_named(tiny_package, tmp_path):
    done = called("evaluate_robustness.py", "--model", tiny_package, "--data", tmp_path, "--output", tmp_path / "o")
    assert done.returncode != 0
    assert "no such image" in done.stderr
