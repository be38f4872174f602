"""Training steps on the CPU with freed memory given back to the system, as by default, and kept (`host_memory`).

Each way has a process of its own, since what is kept stays so.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

import torch

from common import STRIDES, training_batch
from LiverMRISegLib.networks import build_network
from LiverMRISegLib.training.fabric import keep_freed_memory
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy

PATCH, CLASSES, WARM_UP, REPEATS = (2, 80, 96, 96), 10, 3, 5


def measure() -> tuple[float, float]:
    """Seconds of a float32 step of STU-Net XS, middle of some, and the peak memory in GB."""
    network = build_network("stunet-xs", deep_supervision=True, in_channels=1, out_channels=CLASSES, strides=STRIDES)
    order = torch.channels_last_3d
    network = network.to(memory_format=order)  # type: ignore[call-overload]
    image, labels = training_batch(PATCH, CLASSES)
    loss = DeepSupervision(DiceCrossEntropy())
    times = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        network.zero_grad(set_to_none=True)
        loss(network(image), labels).backward()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure both ways and print; the last line holds the ratio."""
    if sys.argv[1:] == ["keep"]:
        keep_freed_memory()
    if sys.argv[1:]:
        print(*measure())
        return
    found = {}
    for way in ("give back", "keep"):
        done = subprocess.run([sys.executable, __file__, way], stdout=subprocess.PIPE, text=True, check=True)
        found[way] = [float(word) for word in done.stdout.split()]
    (before, peak_before), (after, peak_after) = found["give back"], found["keep"]
    print(f"peak memory: given back {peak_before:.1f} GB, kept {peak_after:.1f} GB")
    print(
        f"RATIO host_memory: a step of {PATCH[0]} patches takes {after:.2f} s with freed memory kept, {before:.2f} s "
        f"with it given back: {before / after:.2f} times faster ({torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    main()
