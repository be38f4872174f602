"""The training loop fed from volumes (crop, nnU-Net's augmentation) against the same step fed one batch from memory."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

import torch

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.augmentation import AugmentationConfig, Augmenter
from LiverMRISegLib.data.batches import CaseStream, StepBatches, feed
from LiverMRISegLib.data.case_cache import PreparedCase, PreparedCases
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models.package.specification import InferenceSpec, PreparationSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.validation import Validation

PATCH, BATCH, WARM, STEPS = (64, 96, 96), 2, 4, 40
STRIDES = [[2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 1]]


def phantoms(folder: Path) -> list[PreparedCase]:
    """Four prepared volumes on disk."""
    cache = PreparedCases(folder / "cache", PreparationSpec((3.0, 2.0, 2.0)), ["liver"])
    cases = []
    for seed in range(4):
        made = make_study([Sequence.GED4], seed)[Sequence.GED4]
        scan = Scan(str(seed), "GED4", folder / f"{seed}.nii.gz", folder / f"{seed}_label.nii.gz")
        write_volume(made.volume, scan.image)
        write_volume(made.labelmap, folder / f"{seed}_label.nii.gz")
        values = {value: organ.name for value, organ in LABELS.items()}
        cases.append(cache.load(Datalist("phantom", "", values, [scan]), scan, labelled=True))
    return cases


def seconds_per_step(batches: Iterable[Any], method: Supervised, settings: loop.LoopConfig) -> float:
    """Mean time from one step's end to the next's: the rare, costly augmentations count too."""
    times = []
    last = time.perf_counter()
    for step, batch in enumerate(batches):
        loop._step(method, batch, settings, method.fabric, step)
        now = time.perf_counter()
        times.append(now - last)
        last = now
        if step + 1 == WARM + STEPS:
            break
    return statistics.fmean(times[WARM:])


def main() -> int:
    """Measure and print; the last line holds the ratio."""
    settings = loop.LoopConfig(accelerator="cpu")
    network = build_network("stunet-xxs", in_channels=1, out_channels=2, strides=STRIDES, deep_supervision=True)
    validation = Validation([], [], InferenceSpec(PATCH))
    setup = Setup(OptimizerConfig(), validation, make_fabric(settings), "last", WARM + STEPS)
    method = Supervised(network, setup)
    with tempfile.TemporaryDirectory() as folder:
        stream = CaseStream(phantoms(Path(folder)), Augmenter(AugmentationConfig(), PATCH), BATCH)
        batches = StepBatches({"labelled": stream}, WARM + STEPS, seed=0)
        memory = seconds_per_step(repeat(batches[0]), method, settings)
        one, none = (seconds_per_step(feed(batches, workers)(0), method, settings) for workers in (1, 0))
    print(f"a step of {BATCH} patches {PATCH}, {torch.get_num_threads()} threads")
    print(f"from memory                       {memory:.3f} s, {BATCH / memory:.2f} samples/s")
    print(f"from volumes, one worker process  {one:.3f} s, {BATCH / one:.2f} samples/s")
    print(f"from volumes, no worker           {none:.3f} s, {BATCH / none:.2f} samples/s")
    print(
        f"RATIO training_speed: the data side costs {100 * (none / memory - 1):.1f} % of a step (no worker, as on CPUs)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
