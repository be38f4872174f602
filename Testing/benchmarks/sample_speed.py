"""Making a sample by domain randomisation, additions off, against a training step of STU-Net XXS that uses it."""

from __future__ import annotations

import sys
import time

import torch

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.models.package.specification import InferenceSpec, PreparationSpec
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.synthesis.config import RandomizationConfig
from LiverMRISegLib.synthesis.generator import ImageMaker
from LiverMRISegLib.synthesis.structure_maps import make_structure_map
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.fabric import make_fabric
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.methods.supervised import Supervised
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.validation import Validation

BATCH, REPEATS = 2, 6
STRIDES = [[2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]


def main() -> int:
    """Measure and print; the last line holds the ratio."""
    organs = ("liver", "right kidney", "left kidney", "spleen")
    scan = make_study([Sequence.T1WI])[Sequence.T1WI]
    body = make_structure_map("phantom", scan.labelmap, LABELS)
    config = RandomizationConfig()
    maker = ImageMaker(organs, config, PreparationSpec((3.0, 3.0, 3.0), normalisation="percentile-z-score"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    maker.make(body, 0)
    start = time.perf_counter()
    samples = [maker.make(body, seed) for seed in range(1, 9)]
    each = (time.perf_counter() - start) / len(samples)
    torch.set_num_threads(threads)
    settings = loop.LoopConfig(accelerator="cpu")
    network = build_network("stunet-xxs", in_channels=1, out_channels=10, strides=STRIDES, deep_supervision=True)
    validation = Validation([], [], InferenceSpec(config.patch))
    setup = Setup(OptimizerConfig("adamw"), validation, make_fabric(settings), "last", settings.steps)
    method = Supervised(network, setup)
    images = torch.stack([torch.from_numpy(s.image)[None] for s in samples[:BATCH]])
    labels = torch.stack([torch.from_numpy(s.labels) for s in samples[:BATCH]])
    times = []
    for step in range(REPEATS):
        start = time.perf_counter()
        loop._step(method, {"labelled": {"strong": images, "labels": labels}}, settings, method.fabric, step)
        times.append(time.perf_counter() - start)
    step_seconds = sorted(times[1:])[len(times[1:]) // 2]
    print(f"a batch of {BATCH} samples, one process   {BATCH * each:.3f} s")
    print(f"a training step, {threads} threads          {step_seconds:.3f} s")
    print(f"RATIO sample_speed: making a batch takes {BATCH * each / step_seconds:.2f} of a training step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
