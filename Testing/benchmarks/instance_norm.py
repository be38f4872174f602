"""A training step of the default network with torch's instance norm, and with ours that keeps channels_last."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from common import STRIDES, training_batch
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.networks.instance_norm import InstanceNorm3d
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy

PATCH, CLASSES, REPEATS = (2, 80, 96, 96), 13, 4


def seconds_per_step(network: nn.Module) -> float:
    """The fastest of some steps, forward and backward, in bfloat16."""
    order = torch.channels_last_3d
    network = network.to(memory_format=order)  # type: ignore[call-overload]
    image, labels = training_batch(PATCH, CLASSES)
    loss = DeepSupervision(DiceCrossEntropy())
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(image)
        loss(outputs, labels).backward()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print; the last line holds the ratio."""
    torch.manual_seed(0)
    kwargs: dict[str, Any] = {"in_channels": 1, "out_channels": CLASSES, "strides": STRIDES}
    ours = build_network("stunet-xxs", deep_supervision=True, **kwargs)
    theirs = build_network("stunet-xxs", deep_supervision=True, **kwargs)
    for module in theirs.modules():
        if isinstance(module, InstanceNorm3d):
            module.__class__ = nn.InstanceNorm3d  # type: ignore[assignment]
    before, after = seconds_per_step(theirs), seconds_per_step(ours)
    print(
        f"RATIO instance_norm: a step of {PATCH[0]} patches takes {after:.2f} s, {before:.2f} s with torch's own: "
        f"{before / after:.2f} times faster ({torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    main()
