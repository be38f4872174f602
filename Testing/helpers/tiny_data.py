"""A datalist of tiny volumes, and configs of trainings that take a second."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.places import ROOT
from helpers.warm_python import warm_python
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.volume import Geometry, Volume

SHAPE = (10, 20, 24)


def write_scan(folder: Path, patient: str, sequence: str, seed: int) -> tuple[Path, Path]:
    """A bright liver and a less bright spleen in noise."""
    random = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    z, y, x = random.integers(0, 3, 3)
    labels[2 + z : 8 + z, 3 + y : 13 + y, 2 + x : 11 + x] = 1
    labels[3 : 6 + z, 12 : 16 + y, 16 : 20 + x] = 2
    image = (np.array([100, 300, 200])[labels] + random.normal(0, 15, SHAPE)).astype(np.float32)
    geometry = Geometry((SHAPE[2], SHAPE[1], SHAPE[0]), (4.0, 4.0, 8.0))
    paths = folder / f"{patient}_{sequence}.nii.gz", folder / f"{patient}_{sequence}_label.nii.gz"
    write_volume(Volume(image, geometry), paths[0])
    write_volume(Volume(labels, geometry), paths[1])
    return paths


def write_data(folder: Path, *, validation: bool = True) -> Path:
    """Two labelled GED4, three unlabelled volumes of other phases, one to validate on, one to test on."""
    rows = [
        ("p0", "GED4", "A", "train", True),
        ("p1", "GED4", "A", "train", True),
        ("p0", "T2WI", "A", "train", False),
        ("p2", "GED4", "B", "train", False),
        ("p2", "T1WI", "B", "train", False),
        ("p3", "GED4", "A", "validation" if validation else "test", True),
        ("p4", "GED4", "B", "test", True),
    ]
    scans = []
    for seed, (patient, sequence, vendor, split, labelled) in enumerate(rows):
        image, labels = write_scan(folder, patient, sequence, seed)
        scans.append(Scan(patient, sequence, image, labels if labelled else None, vendor, "", split))
    path = folder / "datalist.json"
    write_datalist(Datalist("tiny", "Apache-2.0", {1: "liver", 2: "spleen"}, scans), path)
    return path


def write_config(folder: Path, datalist: Path, **changes: str) -> Path:
    """A config that every stage on datalists reads; `changes` replace whole lines by their first word."""
    lines = {
        "data": (
            f"{{datalists: [{datalist}], organs: [liver, spleen], cache: {folder / 'cache'}, spacing: [8.0, 4.0, 4.0], "
            "patch: [8, 16, 16], labelled_batch: 2, unlabelled_batch: 2, workers: 0}"
        ),
        "network": "stunet",
        "widths": "[4, 4, 8, 8, 8, 8]",
        "strides": "[[2, 2, 2], [1, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]]",
        "loop": (
            "{steps: 12, learning_rate: 0.003, warmup: 2, log_every: 1, validate_every: 6, checkpoint_every: 3, "
            "precision: 32-true, accelerator: cpu}"
        ),
    }
    lines.update(changes)
    path = folder / "config.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return path


def snakemake_command(workflow: str, folder: Path, *more: str) -> list[str]:
    """The command that runs a workflow in `folder`, whose stages start from a warm Python."""
    python = sys.executable if "--dry-run" in more else warm_python()
    code = "import sys; sys.executable = sys.argv.pop(1); from snakemake.cli import main; main()"
    return [sys.executable, "-c", code, python, "-s", str(ROOT / f"scripts/train/workflows/{workflow}.smk"),
            "-d", str(folder), "--cores", "1", *more]  # fmt: skip


def snakemake(workflow: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a workflow in `folder` with its settings.yaml."""
    command = snakemake_command(workflow, folder, "--configfile", str(folder / "settings.yaml"), *more)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def run_script(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command `python script ...` as a process of its own, whose imports are done already."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([warm_python(), *arguments[1:]], env=environment, capture_output=True, text=True)


def on_two_processes(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """As `run_script`, on two processes by torchrun."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    start += ["--no-python", warm_python()]
    return subprocess.run([*start, *arguments[1:]], env=environment, capture_output=True, text=True)


def status_of_script_here(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command `python script ...` in this process, which has imported already what takes a new one seconds."""
    monkeypatch.setattr(sys, "argv", arguments[1:])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(arguments[1], run_name="__main__")
    return left.value.code
