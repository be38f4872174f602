"""Peak memory of a 512 x 512 x 400 volume with 14 classes: ours, and a full-resolution stack of classes as the peer."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common import random_package

SIZE = (512, 512, 400)
CLASSES = 14
AIM_GB = 3.0


def volume() -> object:
    """A body of soft blobs in air, int16 as scanners write it, 0.8 x 0.8 x 1 mm."""
    from LiverMRISegLib.preparation.interpolation import resize_linear
    from LiverMRISegLib.volume import Geometry, Volume

    coarse = np.abs(np.random.default_rng(0).normal(size=(20, 24, 24))).astype(np.float32)
    coarse[:, :3] = coarse[:, -3:] = coarse[:, :, :3] = coarse[:, :, -3:] = 0
    array = np.empty(SIZE[::-1], np.int16)
    for z in range(0, SIZE[2], 20):
        array[z : z + 20] = 300 * resize_linear(coarse[z // 20][None], (20, SIZE[1], SIZE[0]))
    return Volume(array, Geometry(SIZE, (0.8, 0.8, 1.0)))


def ours(package: Path) -> None:
    """Segment as users do."""
    from LiverMRISegLib.inference.segmenter import Segmenter

    Segmenter.load(package, "cpu").segment(volume())  # type: ignore[arg-type]


def full_stack(package: Path) -> None:
    """The same network, then every class interpolated to the full resolution at once, then the argmax."""
    from LiverMRISegLib.inference import prediction
    from LiverMRISegLib.preparation.interpolation import resize_linear

    used = []

    def stacked(
        slabs: Iterable[np.ndarray], source: object, shape: tuple[int, int, int], nearest_axis: object = None
    ) -> np.ndarray:
        used.append(True)
        logits = np.concatenate(list(slabs), axis=1)
        stack = np.empty((len(logits), *shape), np.float32)
        for channel, scores in enumerate(logits):
            stack[channel] = resize_linear(scores, shape)
        return stack.argmax(0).astype(np.uint8)

    prediction.labels_of_slabs = stacked
    ours(package)
    if not used:
        raise SystemExit("labels are made in another place: the peer was not measured")


def child(way: str, package: str) -> None:
    """Run one way in this process and print its peak memory and time."""
    start = time.perf_counter()
    {"ours": ours, "full stack": full_stack}[way](Path(package))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{peak:.3f} {time.perf_counter() - start:.1f}")


def main() -> None:
    """Measure both ways in processes of their own; the last line holds the ratio."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        package = random_package(Path(folder) / "p", "stunet-xxs", CLASSES - 1, (80, 96, 96))
        for way in ("ours", "full stack"):
            command = [sys.executable, __file__, way, str(package)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peak, seconds = (float(v) for v in done.stdout.split())
            figures[way] = peak
            print(f"{way:12s} peak {peak:6.2f} GB   {seconds:6.1f} s")
    print(
        f"RATIO peak_memory: ours {figures['ours']:.2f} GB (aim: under {AIM_GB} GB), "
        f"a full stack of classes {figures['full stack']:.2f} GB, {figures['full stack'] / figures['ours']:.1f} times"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(sys.argv[1], sys.argv[2])
    else:
        main()
