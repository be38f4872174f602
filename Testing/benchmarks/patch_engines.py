"""One 128^3 patch of STU-Net-S by every engine and precision, against torch in float32."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from common import best_seconds, random_package
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.inference.engines.openvino_engine import OpenVinoEngine
from LiverMRISegLib.inference.engines.torch_engine import TorchEngine
from LiverMRISegLib.models.package.model_package import ModelPackage

PATCH = (128, 128, 128)
AIM_RATIO, AIM_DICE = 3.0, 0.999


def mean_dice(labels: np.ndarray, reference: np.ndarray) -> float:
    """Mean over the classes that the reference holds."""
    scores = []
    for value in np.unique(reference):
        first, second = labels == value, reference == value
        scores.append(2 * (first & second).sum() / (first.sum() + second.sum()))
    return float(np.mean(scores))


def smooth_image() -> np.ndarray:
    """An image with structures of many sizes, as tissue has."""
    random = torch.Generator().manual_seed(0)
    total = torch.zeros(1, 1, *PATCH)
    for cells in (4, 8, 16, 32, 128):
        coarse = torch.randn(1, 1, cells, cells, cells, generator=random)
        total += torch.nn.functional.interpolate(coarse, PATCH, mode="trilinear")
    return (total / total.std()).numpy()


def random_small(folder: Path) -> ModelPackage:
    """STU-Net-S with random weights; precision is compared on the shipped model as well, which is trained."""
    return ModelPackage.load(random_package(folder / "s", "stunet-s", 14, PATCH))


def main() -> None:
    """Measure and print; the last lines hold the ratios."""
    with tempfile.TemporaryDirectory() as folder:  # weights are read from there by every engine
        faster = measure(random_small(Path(folder)))
    trained = shipped_dice("auto")
    print(f"shipped model on the phantom, against torch float32: openvino auto Dice {trained:.5f}, ", end="")
    print(f"openvino bfloat16 Dice {shipped_dice('bfloat16'):.5f}")
    print(
        f"RATIO patch_engines: openvino auto is {faster:.2f} times as fast as torch float32 "
        f"(aim {AIM_RATIO}), Dice {trained:.4f} on the shipped model (aim {AIM_DICE})"
    )


def measure(package: ModelPackage) -> float:
    """Print every engine's seconds and agreement; how many times as fast as torch in float32 the last one is."""
    image = smooth_image()
    engines: dict[str, Callable[[], Engine]] = {
        "torch float32": lambda: TorchEngine(package, "cpu", "float32"),
        "torch bfloat16 channels_last_3d": lambda: TorchEngine(package, "cpu", "bfloat16"),
        "openvino float32": lambda: OpenVinoEngine(package, "float32"),
        "openvino bfloat16": lambda: OpenVinoEngine(package, "bfloat16"),
        "openvino auto": lambda: OpenVinoEngine(package, "auto"),
    }
    reference, base, last = None, 0.0, (0.0, 0.0)
    for name, make in engines.items():
        engine = make()
        seconds = best_seconds(partial(engine.predict, image), 3)
        labels = engine.predict(image)[0].argmax(0)
        if reference is None:
            reference, base = labels, seconds
        last = (base / seconds, mean_dice(labels, reference))
        print(f"{name:34s} {seconds:7.3f} s   {last[0]:5.2f} x torch float32   Dice against it {last[1]:.4f}")
        del engine
    return last[0]


def shipped_dice(precision: str) -> float:
    """Agreement of the precisions where it matters: the trained model on an image of an abdomen."""
    from LiverMRISegLib.anatomy import Sequence
    from LiverMRISegLib.inference.segmenter import Segmenter
    from LiverMRISegLib.models.catalog import load_model
    from LiverMRISegLib.phantom.study import make_study

    package = load_model("liver-any-sequence")
    bare = replace(package, spec=replace(package.spec, postprocessing={}))
    volume = make_study([Sequence.T1WI], seed=2)[Sequence.T1WI].volume
    exact = Segmenter(bare, TorchEngine(bare, "cpu", "float32")).segment(volume).labelmap
    fast = Segmenter(bare, OpenVinoEngine(bare, precision)).segment(volume).labelmap
    return mean_dice(fast, exact)


if __name__ == "__main__":
    main()
