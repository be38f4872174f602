"""The sizes of STU-Net on this CPU: parameters and seconds of a 96^3 patch by the engine that users get."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from common import best_seconds, random_package
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.models.package.model_package import ModelPackage

PATCH = (96, 96, 96)


def main() -> None:
    """Measure and print; the last line holds the ratio."""
    image = np.random.default_rng(0).normal(size=(1, 1, *PATCH)).astype(np.float32)
    seconds = {}
    for name in ("stunet-xxs", "stunet-xs", "stunet-s", "stunet-b"):
        with tempfile.TemporaryDirectory() as folder:
            package = ModelPackage.load(random_package(Path(folder) / "p", name, 14, PATCH))
            count = sum(array.size for array in package.weights.values())
            engine = load_engine(package, "cpu")
            seconds[name] = best_seconds(partial(engine.predict, image))
        print(f"{name:12s} {count / 1e6:6.2f} M parameters   {seconds[name]:6.3f} s a patch   ({engine.name})")
    print(
        f"RATIO network_sizes: stunet-xxs takes {seconds['stunet-s'] / seconds['stunet-xxs']:.1f} times less time "
        "than stunet-s"
    )


if __name__ == "__main__":
    main()
