"""Tiny trainings of every stage: their configs, commands, logs and weights."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from helpers.places import ROOT
from helpers.tiny_data import write_config
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig, run_bidirectional_copy_paste
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig, run_cross_pseudo_supervision
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from LiverMRISegLib.training.stages.intermediate_domains import IntermediateDomainsStageConfig, run_intermediate_domains

STAGES = {
    "finetune": (FinetuneConfig, run_finetune),
    "cross_pseudo_supervision": (CrossPseudoStageConfig, run_cross_pseudo_supervision),
    "bidirectional_copy_paste": (CopyPasteStageConfig, run_bidirectional_copy_paste),
    "intermediate_domains": (IntermediateDomainsStageConfig, run_intermediate_domains),
}


def config_of(stage: str, folder: Path, datalist: Path, **changes):
    """The config of a tiny training of `stage`, whose run folder is `folder`/run; `changes` are fields."""
    config = read_config(STAGES[stage][0], write_config(folder, datalist))
    return replace(config, run_folder=folder / "run", **changes)


def environment() -> dict[str, str]:
    """That of a process which runs a script of this repository on one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command(stage: str, config: Path, run: Path, *more: str) -> list[str]:
    """The command that trains `stage` by its script."""
    return [
        sys.executable,
        str(ROOT / f"scripts/train/{stage}.py"),
        "--config",
        str(config),
        "--run-folder",
        str(run),
        *more,
    ]


def logged(run: Path) -> list[dict]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def networks(run: Path) -> dict[str, torch.Tensor]:
    """The weights in a run's newest checkpoint."""
    state = checkpoints.load_newest(run / "checkpoints")
    return {f"{b}.{n}": t for b, network in state["method"]["networks"].items() for n, t in network.items()}
