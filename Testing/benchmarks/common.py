"""What the benchmarks share: the machine in words, synthetic inputs, and time of a call."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from LiverMRISegLib.anatomy import ORGANS, LabelSet, Sequence
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import InferenceSpec, ModelSpec, NetworkSpec, PreparationSpec
from LiverMRISegLib.networks.registry import parameter_shapes

if TYPE_CHECKING:
    import torch

STRIDES = [[2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]


def machine() -> str:
    """CPU, cores and memory."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB"


def best_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of several calls after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def training_batch(patch: tuple[int, int, int, int], classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images [B, 1, Z, Y, X], channels last, and labels [B, Z, Y, X] of a `patch` [B, Z, Y, X]."""
    import torch

    image = torch.randn(patch[0], 1, *patch[1:]).contiguous(memory_format=torch.channels_last_3d)
    return image, torch.randint(0, classes, patch, dtype=torch.uint8)


def random_package(folder: Path, network: str, organs: int, patch: tuple[int, int, int]) -> Path:
    """A package with random weights: as large and as slow as a trained one."""
    kwargs = {"in_channels": 1, "out_channels": organs + 1, "strides": STRIDES}
    spec = ModelSpec(
        name="random",
        version="1.0",
        task="benchmark",
        modality="MR",
        sequences=(Sequence.T2WI.value,),
        labels=LabelSet.of("random", ORGANS[:organs]),
        network=NetworkSpec(network, kwargs),
        preparation=PreparationSpec((3.0, 3.0, 3.0), normalisation="percentile-z-score"),
        inference=InferenceSpec(patch),
    )
    random = np.random.default_rng(0)
    weights = {}
    for name, shape in parameter_shapes(network, kwargs).items():
        deviation = 1.0 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        centre = 1.0 if ".norm" in name and name.endswith("weight") else 0.0
        weights[name] = random.normal(centre, deviation, shape).astype(np.float16)
    return save_package(spec, weights, folder)
