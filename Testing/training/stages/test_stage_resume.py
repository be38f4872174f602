"""A run folder is gone on with, after a kill, a full disk, a loss that is not finite; never with another training."""

import os
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from lightning_fabric.plugins.precision.amp import MixedPrecision

from helpers.stage_runs import command, config_of, environment, logged, networks
from helpers.tiny_data import run_script, write_config, write_data
from LiverMRISegLib.errors import OutputError, UsageError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.loop import TrainingError, _Run
from LiverMRISegLib.training.stages.finetune import run as run_finetune


@pytest.mark.parametrize("stage", ["cross_pseudo_supervision", "bidirectional_copy_paste"])
def test_a_killed_run_ends_at_the_same_weights(stage, datalist, tmp_path):
    config = write_config(tmp_path, datalist)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run_script(command(stage, config, whole))
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(command(stage, config, killed), env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None and not list((killed / "checkpoints").glob("step_*.pt")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = run_script(command(stage, config, killed))
    assert done.returncode == 0, done.stderr
    first, second = networks(whole), networks(killed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [line["step"] for line in logged(killed) if "loss" in line] == list(range(1, 13))
    assert (whole / "model/model.json").read_text() == (killed / "model/model.json").read_text()


def test_a_run_that_ended_before_its_first_checkpoint_leaves_no_lines(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").write_text('{"step": 1, "loss": 9.0}\n{"step": 2, "lo')
    run_finetune(config)
    assert [line["step"] for line in logged(tmp_path / "run") if "loss" in line] == list(range(1, 13))


def test_a_precision_without_a_state_may_follow_one(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(replace(config, loop=replace(config.loop, steps=6)))
    state = checkpoints.load_newest(tmp_path / "run/checkpoints")
    assert state["precision"] == {}
    scaled = MixedPrecision("16-mixed", "cuda", torch.amp.GradScaler("cpu"))
    fabric = SimpleNamespace(strategy=SimpleNamespace(precision=scaled), is_global_zero=True)
    gone_on = _Run(SimpleNamespace(load_state_dict=lambda _: None), config.loop, tmp_path / "run", fabric)
    gone_on.resume()
    assert gone_on.step == 6


def test_a_full_disk_ends_with_one_line_and_the_run_goes_on(datalist, tmp_path):
    """The limit on the size of files stands for a full disk: the system refuses to write on."""
    config, run = write_config(tmp_path, datalist), tmp_path / "run"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    done = subprocess.run(
        command("finetune", config, run), env=environment(), capture_output=True, text=True, preexec_fn=limit
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((run / "checkpoints").glob("*.pt"))
    done = run_script(command("finetune", config, run))
    assert done.returncode == 0, done.stderr


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_it(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(replace(config, loop=replace(config.loop, steps=6)))
    state = checkpoints.load_newest(tmp_path / "run/checkpoints")
    state["method"]["networks"]["last"]["seg_outputs.4.bias"][0] = float("nan")
    checkpoints.save(tmp_path / "run/checkpoints", 6, state, is_best=False)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 6.*same command"):
        run_finetune(config)
    assert checkpoints.load_newest(tmp_path / "run/checkpoints")["step"] == 6


def test_the_best_weights_are_written_before_the_step_that_tells_of_them(tmp_path, monkeypatch):
    """A disk that fills up between the two leaves a run that finds the same best again."""
    checkpoints.save(tmp_path, 1, {"best": 0.5}, is_best=True)
    assert checkpoints.load(tmp_path / "step_00000001.pt") == checkpoints.load(tmp_path / "best.pt")
    monkeypatch.setattr(checkpoints.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OutputError, match="cannot be written"):
        checkpoints.save(tmp_path, 2, {"best": 0.9}, is_best=True)
    assert checkpoints.load(tmp_path / "best.pt")["best"] == 0.9
    assert checkpoints.load_newest(tmp_path)["best"] == 0.5


def test_another_training_is_not_gone_on_with(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(config)
    with pytest.raises(UsageError, match=r"contains a training with data\.foreground 0\.33, not 0\.9"):
        run_finetune(replace(config, data=replace(config.data, foreground=0.9)))
    assert run_finetune(replace(config, branch="last")).step == 12


def test_the_learning_rate_may_be_lowered_when_a_run_goes_on(datalist, tmp_path):
    config = config_of("finetune", tmp_path, datalist)
    run_finetune(replace(config, loop=replace(config.loop, steps=6)))
    lower = replace(config, loop=replace(config.loop, learning_rate=1e-5))
    assert run_finetune(lower).step == 12
    with pytest.raises(UsageError, match=r"contains a training with loop\.learning_rate"):
        run_finetune(config)


def test_a_run_does_not_go_on_with_other_data_under_the_same_names(datalist, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(datalist.parent, folder)
    path = write_data(folder)
    config = config_of("finetune", tmp_path, path)
    run_finetune(config)
    labels = folder / "p1_GED4_label.nii.gz"
    volume = read_labelmap(labels)
    volume.array[0, 0, 0] = 1
    write_volume(volume, labels)
    with pytest.raises(UsageError, match="a training on other data"):
        run_finetune(config)
