"""A whole tiny training on synthetic images alone, by the real script: it resumes after a kill to the same weights."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from helpers.places import ROOT
from helpers.tiny_data import run_script, status_of_script_here
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import BODY
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource, load_structure_maps
from LiverMRISegLib.synthesis.structure_maps import StructureMap
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.synthetic_source import synthetic_source
from LiverMRISegLib.volume import Geometry, Volume

SCRIPT = ROOT / "scripts/train/finetune.py"


def write_label_map(path: Path, shift: int) -> None:
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[6:16, 6:18, 4 + shift : 13] = 1
    labels[8:14, 12:20, 18 : 24 + shift] = 4
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((8.0, 8.0, 8.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def config(tmp_path):
    for number in range(3):
        write_label_map(tmp_path / f"body{number}_label.nii.gz", number)
    path = tmp_path / "config.yaml"
    path.write_text(
        "data:\n"
        f"  cache: {tmp_path / 'cache'}\n"
        "  organs: [liver, spleen]\n"
        "  spacing: [8.0, 8.0, 8.0]\n"
        "  normalisation: percentile-z-score\n"
        "  antialias: true\n"
        "  patch: [16, 24, 24]\n"
        "  labelled_batch: 0\n"
        "  workers: 0\n"
        "  synthetic:\n"
        f"    folder: {tmp_path}\n"
        "    batch: 1\n"
        '    sources: [{labelmaps: "*_label.nii.gz", label_set: CHAOS, licence: of the label maps}]\n'
        "    validation_bodies: [body2]\n"
        "    validation_images: 1\n"
        "    randomization: {slice_thickness: [8.0, 12.0]}\n"
        "network: stunet-xxs\n"
        "strides: [[2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1]]\n"
        "optimizer: {name: adamw, weight_decay: 0.01}\n"
        "loop: {steps: 12, learning_rate: 0.001, warmup: 2, log_every: 1, validate_every: 6, checkpoint_every: 3, "
        "precision: 32-true, accelerator: cpu}\n"
        "checkpoint: last\n"
        "name: tiny-any-sequence\n"
    )
    return path


def command(config: Path, run: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), "--config", str(config), "--run-folder", str(run)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def train(config: Path, run: Path) -> None:
    done = run_script(command(config, run))
    assert done.returncode == 0, done.stderr


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    state = checkpoints.load_newest(run / "checkpoints")
    assert state["step"] == 12
    return state["method"]["networks"]["average"]


def steps_logged(run: Path) -> list[int]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "loss" in line]


def test_bodies_without_labels_of_a_trained_organ_are_left_out(config, tmp_path, caplog):
    write_label_map(tmp_path / "full_label.nii.gz", 1)
    chaos = StructureMapSource("body*_label.nii.gz", "CHAOS")
    amos = StructureMapSource("full_label.nii.gz", "AMOS")
    bodies = load_structure_maps(tmp_path, [chaos, amos], 8.0, ("liver", "pancreas"))
    assert [body.name for body in bodies] == ["full"]
    assert "body*_label.nii.gz: left out, it has no labels of pancreas" in caplog.text
    assert len(load_structure_maps(tmp_path, [chaos, amos], 8.0, ("liver",))) == 4
    with pytest.raises(UsageError, match="no source of label maps has labels of all of: pancreas"):
        load_structure_maps(tmp_path, [chaos], 8.0, ("pancreas",))


def partial_config(config: Path, extra: str = "") -> Path:
    path = config.with_name("partial.yaml")
    text = config.read_text().replace("[liver, spleen]", "[liver, spleen, pancreas]")
    text = text.replace("licence: of the label maps}]", "licence: of the label maps, weight: 2}]\n    partial: true")
    path.write_text(text + extra)
    return path


def test_label_maps_without_some_of_the_organs_teach_the_others(config, tmp_path):
    made = read_config(FinetuneConfig, partial_config(config))
    source = synthetic_source(made.data)
    sample = source.stream.sample(0, (0, 0, 0))
    assert sample["unlabelled"].nonzero().flatten().tolist() == [3]
    assert {body.weight for body in source.stream.bodies} == {2.0}
    train(partial_config(config), tmp_path / "run")
    assert list(ModelPackage.load(tmp_path / "run/model").spec.labels) == [1, 2, 3]


def test_label_maps_without_some_of_the_organs_are_not_for_unlabelled_volumes(config, tmp_path, monkeypatch, caplog):
    script = ROOT / "scripts/train/mean_teacher.py"
    arguments = [sys.executable, str(script), "--config", str(partial_config(config))]
    assert status_of_script_here([*arguments, "--run-folder", str(tmp_path / "run")], monkeypatch) == 2
    assert "synthetic.partial is for training without unlabelled volumes (finetune.py)" in caplog.text


def test_bodies_are_drawn_by_their_weights(config):
    stream = synthetic_source(read_config(FinetuneConfig, partial_config(config)).data).stream
    heavy, light = replace(stream.bodies[0], weight=9.0), replace(stream.bodies[1], weight=1.0)
    weighted = replace(stream, bodies=[heavy, light])
    drawn = [weighted._body(np.random.default_rng(n)).name for n in range(200)]
    assert 160 <= drawn.count(heavy.name) < 200


def test_structure_maps_are_kept_by_their_content(tmp_path, caplog):
    write_label_map(tmp_path / "body_label.nii.gz", 0)
    source, cache = StructureMapSource("*_label.nii.gz", "CHAOS", weight=2.0), tmp_path / "cache"

    def load(**changes) -> StructureMap:
        return load_structure_maps(tmp_path, [replace(source, **changes)], 8.0, cache=cache)[0]

    first = load()
    (kept,) = cache.iterdir()
    again = load(weight=3.0)
    assert np.array_equal(first.structures, again.structures)
    assert (again.unlabelled, again.weight) == (first.unlabelled, 3.0)
    assert list(cache.iterdir()) == [kept]
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(load().structures, first.structures)
    assert "is damaged" in caplog.text
    write_label_map(tmp_path / "body_label.nii.gz", 1)
    assert not np.array_equal(load().structures, first.structures)
    load(is_complete=True)
    assert len(list(cache.iterdir())) == 3


def test_a_killed_run_ends_at_the_same_weights(config, tmp_path):
    train(config, tmp_path / "whole")
    killed = tmp_path / "killed"
    process = subprocess.Popen(command(config, killed), env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None and not list((killed / "checkpoints").glob("step_*.pt")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    train(config, killed)
    whole, resumed = final_weights(tmp_path / "whole"), final_weights(killed)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert steps_logged(killed) == list(range(1, 13))
    assert len(list((killed / "checkpoints").glob("step_*.pt"))) == 2
    assert (killed / "checkpoints/best.pt").exists()
    assert list((killed / "tensorboard").iterdir())
    assert (killed / "model/model.json").read_text() == (tmp_path / "whole/model/model.json").read_text()


def test_the_run_ends_in_a_package_of_what_is_offered(config, tmp_path, monkeypatch):
    run = tmp_path / "run"
    assert status_of_script_here(command(config, run), monkeypatch) == 0
    spec = ModelPackage.load(run / "model").spec
    assert [organ.name for organ in spec.labels.organs] == ["liver", "spleen"]
    assert "T2WI" in spec.sequences
    assert spec.weights_license == "of the label maps"
    assert str(tmp_path) not in (run / "model/model.json").read_text()
    assert spec.provenance[0]["config"]["data"]["synthetic"]["validation_bodies"] == ["body2"]
    figures = tmp_path / "metrics.json"
    figures.write_text('[{"data set": "x", "cases": 3, "liver": 0.9}]')
    options = ["--offered", "spleen", "--background-offset", "0.5", "--region", "body", "--metrics", str(figures)]
    assert status_of_script_here([*command(config, run), *options], monkeypatch) == 0
    package = ModelPackage.load(run / "model")
    assert {value: organ.name for value, organ in package.spec.labels.items()} == {2: "spleen"}
    assert (package.spec.inference.region, package.spec.metrics[0]["cases"]) == (BODY, 3)
    bias = final_weights(run)["seg_outputs.4.bias"].numpy() - [0.5, 0, 0]
    assert np.allclose(package.weights["seg_outputs.4.bias"], bias, atol=1e-3)
    image = Volume(
        np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32), Geometry((28, 24, 20), (8.0,) * 3)
    )
    assert set(np.unique(Segmenter.load(run / "model", "cpu").segment(image).labelmap)) <= {0, 2}


def test_a_damaged_checkpoint_is_passed_over(config, tmp_path, monkeypatch):
    run = tmp_path / "run"
    assert status_of_script_here(command(config, run), monkeypatch) == 0
    newest = sorted((run / "checkpoints").glob("step_*.pt"))[-1]
    before = final_weights(run)
    newest.write_bytes(newest.read_bytes()[:1000])
    assert status_of_script_here(command(config, run), monkeypatch) == 0
    after = final_weights(run)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("option", "value", "status", "words"),
    [
        ("--data.synthetic.folder", "absent", 3, "no such label map"),
        ("--data.synthetic.validation-bodies", "body7", 2, "there is no body 'body7'"),
        ("--offered", "stomach", 2, "'stomach' is not one of data.organs"),
        ("--start-share", "0.5", 2, "start_share 0.5 needs a start"),
        ("--network", "unet", 2, "unknown network 'unet'"),
    ],
)
def test_wrong_configs_end_with_one_line(config, tmp_path, monkeypatch, caplog, option, value, status, words):
    arguments = [*command(config, tmp_path / "run"), option, value]
    assert status_of_script_here(arguments, monkeypatch) == status
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert words in line


def test_a_flag_that_is_none_of_its_choices_is_named(config, tmp_path, monkeypatch, capsys):
    assert status_of_script_here([*command(config, tmp_path / "run"), "--checkpoint", "first"], monkeypatch) == 2
    written = "".join(capsys.readouterr())
    assert "--checkpoint" in written
    assert "best" in written
    assert not (tmp_path / "run").exists()
