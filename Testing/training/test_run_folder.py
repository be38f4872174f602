"""A run folder belongs to one training at a time: real trainings by script and from Python."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from torch.utils.data import get_worker_info

from helpers.places import ROOT
from helpers.tiny_data import write_config, write_data
from LiverMRISegLib.data.batches import CaseStream
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.loop import TrainingError
from LiverMRISegLib.training.stages.finetune import FinetuneConfig, run


def test_the_second_training_in_a_run_folder_ends_with_one_line(tmp_path):
    path, folder = write_config(tmp_path, write_data(tmp_path)), tmp_path / "run"
    script = [
        sys.executable,
        str(ROOT / "scripts/train/finetune.py"),
        "--config",
        str(path),
        "--run-folder",
        str(folder),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen([*script, "--loop.steps", "100000"], env=environment, stderr=subprocess.DEVNULL)
    try:
        while first.poll() is None and not list((folder / "checkpoints").glob("step_*.pt")):
            time.sleep(0.02)
        second = subprocess.run(script, env=environment, capture_output=True, text=True)
        assert second.returncode == 2
        (line,) = [line for line in second.stderr.splitlines() if "ERROR" in line]
        assert f"another run is writing there (process {first.pid} on" in line
        assert "Traceback" not in second.stderr
        config = replace(read_config(FinetuneConfig, path), run_folder=folder)
        with pytest.raises(UsageError, match=f"process {first.pid} on"):
            run(config)
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    (folder / "checkpoints" / ".step_00000099.k2_9abcd.tmp.pt").write_text("half a checkpoint")
    newest = max(int(p.stem.removeprefix("step_")) for p in (folder / "checkpoints").glob("step_*.pt"))
    assert run(replace(config, loop=replace(config.loop, steps=newest + 2))).step == newest + 2
    hidden = [p for p in (*folder.iterdir(), *(folder / "checkpoints").iterdir()) if p.name.startswith(".")]
    assert hidden == []


def test_a_worker_that_is_killed_ends_the_run_in_one_line_and_the_run_goes_on(tmp_path, monkeypatch):
    config = read_config(FinetuneConfig, write_config(tmp_path, write_data(tmp_path)))
    config = replace(config, run_folder=tmp_path / "run", data=replace(config.data, workers=1))
    whole = CaseStream.sample

    def killed(stream, index, seed):
        if index == 16 and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(stream, index, seed)

    monkeypatch.setattr(CaseStream, "sample", killed)
    with pytest.raises(TrainingError, match=r"was killed, .*; set data\.workers lower, and the same command resumes"):
        run(config)
    monkeypatch.undo()
    assert run(config).step == config.loop.steps


def test_an_error_that_a_worker_raises_is_told_as_it_is(tmp_path, monkeypatch):
    config = read_config(FinetuneConfig, write_config(tmp_path, write_data(tmp_path)))
    config = replace(config, run_folder=tmp_path / "run", data=replace(config.data, workers=1))

    def wrong(stream, index, seed):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(CaseStream, "sample", wrong)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run(config)


def test_a_pipe_that_breaks_where_there_are_no_workers_is_not_told_as_their_death(tmp_path, monkeypatch):
    """As tqdm's to a reader of the messages that has ended."""
    config = read_config(FinetuneConfig, write_config(tmp_path, write_data(tmp_path)))

    def broken(stream, index, seed):
        raise BrokenPipeError

    monkeypatch.setattr(CaseStream, "sample", broken)
    with pytest.raises(BrokenPipeError):
        run(replace(config, run_folder=tmp_path / "run"))
