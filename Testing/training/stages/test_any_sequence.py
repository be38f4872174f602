"""A whole tiny training by the real script: it learns, it resumes after a kill to the same weights."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from helpers.tiny_data import status_of_script_here
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.synthesis.structure_map_sources import BodySource, load_bodies
from LiverMRISegLib.training import checkpoints

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts/train/any_sequence.py"


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
        f"data: {tmp_path}\n"
        'sources: [{labelmaps: "*_label.nii.gz", label_set: CHAOS}]\n'
        "organs: [liver, spleen]\n"
        "network: stunet-xxs\n"
        "strides: [[2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1]]\n"
        "validation_bodies: [body2]\n"
        "validation_patches: 1\n"
        "batch: 1\n"
        "workers: 0\n"
        "randomization: {patch: [16, 24, 24], spacing: 8.0, slice_thickness: [8.0, 12.0]}\n"
        "loop: {steps: 12, warmup: 2, log_every: 1, validate_every: 6, checkpoint_every: 3, "
        "precision: 32-true, accelerator: cpu}\n"
    )
    return path


def command(config: Path, run: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), "--config", str(config), "--run-folder", str(run)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def train(config: Path, run: Path) -> None:
    done = subprocess.run(command(config, run), env=environment(), capture_output=True, text=True)
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
    chaos = BodySource("body*_label.nii.gz", "CHAOS")
    amos = BodySource("full_label.nii.gz", "AMOS")
    bodies = load_bodies(tmp_path, [chaos, amos], 8.0, ("liver", "pancreas"))
    assert [body.name for body in bodies] == ["full"]
    assert "body*_label.nii.gz: left out, it has no labels of pancreas" in caplog.text
    assert len(load_bodies(tmp_path, [chaos, amos], 8.0, ("liver",))) == 4
    with pytest.raises(UsageError, match="no source of bodies has labels of all of: pancreas"):
        load_bodies(tmp_path, [chaos], 8.0, ("pancreas",))


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
        ("--data", "absent", 3, "no such label map"),
        ("--validation-bodies", "body7", 2, "there is no body 'body7'"),
        ("--network", "unet", 2, "unknown network 'unet'"),
    ],
)
def test_wrong_configs_end_with_one_line(config, tmp_path, monkeypatch, caplog, option, value, status, words):
    arguments = [*command(config, tmp_path / "run"), option, value]
    assert status_of_script_here(arguments, monkeypatch) == status
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert words in line
