"""Judging by FLARE's rules with real processes: scores, times, the area under polled memory, failures kept apart."""

import csv
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import LIVER, SPLEEN, LabelSet, structure_named
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation.challenge import ChallengeConfig, run
from LiverMRISegLib.evaluation.efficiency import gpu_memory_reader, measure_cost, visible_gpu
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume, write_segmentation, write_volume
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.volume import Volume

NAP = [sys.executable, "-c", "import time; time.sleep(0.5)"]


def test_the_area_is_the_sum_of_readings_every_tenth_of_a_second():
    readings = iter(range(100, 10_000))
    cost = measure_cost(NAP, lambda: float(next(readings)))
    taken = int(cost.peak_mb) - 99
    assert 4 <= taken <= cost.seconds / 0.1 + 1
    assert cost.area_mb == sum(range(100, 100 + taken))
    assert cost.status == 0


def test_without_a_gpu_time_alone_is_known():
    cost = measure_cost(NAP, None)
    assert (cost.area_mb, cost.peak_mb) == (None, None)
    assert cost.seconds >= 0.5


@pytest.mark.parametrize(("gpu", "megabytes"), [("0", 100.0), ("1", 200.0), ("GPU-abc", 300.0)])
def test_the_driver_is_asked_where_there_is_one(monkeypatch, gpu, megabytes):
    """Of a GPU by its number or its name; NVML counts bytes."""
    used = {0: 100, 1: 200, "GPU-abc": 300}
    driver = SimpleNamespace(
        NVMLError=OSError, nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=used.get, nvmlDeviceGetHandleByUUID=used.get,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=handle * 2**20),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    assert gpu_memory_reader(gpu)() == pytest.approx(megabytes)


def test_without_a_driver_no_memory_is_read(monkeypatch):
    def fails():
        raise OSError("no driver")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=OSError, nvmlInit=fails))
    assert gpu_memory_reader() is None


def test_half_a_sum_of_readings_is_none():
    readings = iter((100.0, 101.0))
    cost = measure_cost(NAP, lambda: next(readings))
    assert (cost.status, cost.area_mb, cost.peak_mb) == (0, None, None)


def test_the_command_gets_variables_beside_ours():
    cost = measure_cost([sys.executable, "-c", "import os, sys; sys.exit(os.environ['ONLY'])"], None, {"ONLY": "this"})
    assert "this" in cost.messages


@pytest.mark.parametrize(
    ("named", "expected"), [(None, "1"), ("3,5", "5"), ("", ""), ("-1", ""), ("GPU-a,GPU-b", "GPU-b")]
)
def test_which_gpu_is_meant(monkeypatch, named, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpu(1) == expected


def test_a_gpu_that_is_not_there(monkeypatch, cases, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    datalist, model = cases
    for options in ({"gpu": 1}, {"device": "cuda:0"}):
        with pytest.raises(UsageError, match="gpu"):
            run(ChallengeConfig(str(model), (datalist,), output=tmp_path / "out", **options))


def test_a_command_that_fails_is_told_with_its_words():
    failed = measure_cost([sys.executable, "-c", "import sys; sys.exit('gone wrong')"], None)
    assert failed.status == 1
    assert "gone wrong" in failed.messages


@pytest.fixture
def cases(tmp_path):
    """Two cases with references, one of which has another grid than its image, and a model."""
    scans = []
    for number in range(2):
        volume = make_volume(seed=number)
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[3:8, 4:10, 5:12], labels[8, 4:10, 5:12] = 1, 5  # liver and tumour
        grid = volume.geometry if number == 0 else replace(volume.geometry, origin=(99.0, 0.0, 0.0))
        write_volume(volume, tmp_path / f"p{number}.nii.gz")
        write_volume(Volume(labels, grid), tmp_path / f"p{number}_label.nii.gz")
        files = tmp_path / f"p{number}.nii.gz", tmp_path / f"p{number}_label.nii.gz"
        scans.append(Scan(f"p{number}", "T2WI", *files, split="test"))
    write_datalist(Datalist("mr", "none", {1: "liver", 5: "liver"}, scans), tmp_path / "mr.json")
    spec = tiny_spec()
    return tmp_path / "mr.json", save_package(spec, random_weights(spec, 0), tmp_path / "model")


def test_every_case_is_judged_and_failures_are_told(cases, tmp_path):
    datalist, model = cases
    config = ChallengeConfig(str(model), (datalist,), device="cpu", output=tmp_path / "out")
    first, second = run(config)
    assert first.case.scores[0].organ == "liver"
    assert first.case.scores[0].reference_ml == pytest.approx(6 * 6 * 7 * 0.02)
    assert first.cost.seconds > 0
    assert "grid" in second.case.error
    rows = {row[0]: row[1] for row in csv.reader((tmp_path / "out/summary.csv").open())}
    assert rows["failed cases"] == "1"
    assert rows["GPU memory-time area per case, MB"] == "not measured"
    assert float(rows["seconds per case"]) > 0
    assert float(rows["mean"]) == pytest.approx(first.case.scores[0].dsc, abs=1e-4)
    assert (tmp_path / "out/p0_T2WI.nii.gz").exists()


def judged_against(cases, tmp_path, labelmap, values, ignore=0):
    """The first case of `cases`, with another reference."""
    datalist, model = cases
    scan = replace(read_datalist(datalist).scans[0], labels=labelmap)
    write_datalist(Datalist("mr", "none", values, [scan], ignore=ignore), datalist)
    return run(ChallengeConfig(str(model), (datalist,), device="cpu", output=tmp_path / "out"))[0].case


def test_where_nobody_knows_the_label_nothing_counts(cases, tmp_path):
    made = Segmenter.load(cases[1], "cpu").segment(read_volume(tmp_path / "p0.nii.gz"))
    values = {value: organ.name for value, organ in made.labels.items()}
    half = made.labelmap.copy()
    half[half.shape[0] // 2 :][half[half.shape[0] // 2 :] > 0] = 200
    assert {200, *values} & set(np.unique(half)) > {200}
    write_volume(Volume(half, made.geometry), tmp_path / "half.nii.gz")
    found = judged_against(cases, tmp_path, tmp_path / "half.nii.gz", values, ignore=200).scores
    assert [(scores.dsc, scores.hd) for scores in found] == [(1.0, 0.0)] * len(values)
    found = judged_against(cases, tmp_path, tmp_path / "half.nii.gz", values).scores
    assert min(scores.dsc for scores in found) < 1.0


def test_the_last_slice_of_a_long_organ_does_not_count_as_in_flares_script(cases, tmp_path):
    named = LabelSet("named", {1: LIVER, 2: structure_named("aorta")})
    spec = replace(tiny_spec(), labels=named, postprocessing={})
    model = save_package(spec, random_weights(spec, 0), tmp_path / "vessels")
    volume = read_volume(tmp_path / "p0.nii.gz")
    reference = Segmenter.load(model, "cpu").segment(volume).labelmap
    last = np.flatnonzero((reference == 2).any(axis=(1, 2)))[-1]
    reference[last] = np.where(reference[last] == 2, 0, 2)
    assert (reference[last] == 2).any()
    write_volume(Volume(reference, volume.geometry), tmp_path / "aorta.nii.gz")
    case = judged_against((cases[0], model), tmp_path, tmp_path / "aorta.nii.gz", {2: "aorta"})
    assert [(scores.organ, scores.dsc) for scores in case.scores] == [("aorta", 1.0)]


def test_a_reference_that_names_its_segments_otherwise_is_refused(cases, tmp_path):
    volume = read_volume(tmp_path / "p0.nii.gz")
    named = LabelSet("named", {1: SPLEEN, 2: LIVER})
    write_segmentation(
        tmp_path / "p0.seg.nrrd", np.ones(volume.array.shape, np.uint8), named, volume.geometry
    )  # fmt: skip
    case = judged_against(cases, tmp_path, tmp_path / "p0.seg.nrrd", {1: "liver", 2: "spleen"})
    assert "its value 1 is called Spleen, and liver in the data set" in case.error


def test_scans_of_one_name_keep_their_own_results(cases, tmp_path):
    datalist, model = cases
    scan, _ = read_datalist(datalist).scans
    (tmp_path / "other").mkdir()
    for name in ("p0.nii.gz", "p0_label.nii.gz"):
        shutil.copy(tmp_path / name, tmp_path / "other" / name)
    moved = replace(scan, image=tmp_path / "other/p0.nii.gz", labels=tmp_path / "other/p0_label.nii.gz")
    write_datalist(Datalist("other", "none", {1: "liver", 5: "liver"}, [moved]), tmp_path / "other.json")
    config = ChallengeConfig(str(model), (datalist, tmp_path / "other.json"), device="cpu", output=tmp_path / "out")
    names = [each.case.name for each in run(config)]
    assert names == ["p0_T2WI", "p1_T2WI", "p0_T2WI_2"]
    assert {"p0_T2WI.nii.gz", "p0_T2WI_2.nii.gz"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_a_case_that_cannot_be_segmented_keeps_its_message(cases, tmp_path):
    datalist, model = cases
    (tmp_path / "p0.nii.gz").write_bytes(b"nothing of use")
    judged = run(ChallengeConfig(str(model), (datalist,), device="cpu", output=tmp_path / "out"))
    assert "p0" in judged[0].case.error
    with pytest.raises(UsageError, match="split 'validation'"):
        run(ChallengeConfig(str(model), (datalist,), split="validation", output=tmp_path / "out"))
