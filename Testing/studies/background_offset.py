"""What the background offset of the default model does to Dice and volumes on the ten T2 volumes.

background_offset.py [MODEL] [--data ../shared/data]

The package's own offset is part of its weights; here more is added to the background's logit, so that organs shrink.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.resources import DEFAULT_MODEL

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "train"))
from real_sets import T2_SPIR, cases_of, scores_of

ADDED = (0.0, 0.2, 0.4, 0.6)
# The highest resolution of STU-Net, the one that is used after training.
_BIAS = "seg_outputs.4.bias"


def with_background(package: ModelPackage, added: float, folder: Path) -> Segmenter:
    """The model with `added` on the background's logit."""
    weights = dict(package.weights)
    bias = weights[_BIAS].astype(np.float32)
    bias[0] += added
    changed = ModelPackage.load(save_package(package.spec, {**weights, _BIAS: bias.astype(np.float16)}, folder))
    return Segmenter(changed, load_engine(changed, "cpu"))


def measured(segmenter: Segmenter, data: Path) -> dict[str, list[tuple[float, float]]]:
    """Dice and volume against the reference's, of every organ and case."""
    found: dict[str, list[tuple[float, float]]] = {}
    for image, label in cases_of(data, T2_SPIR):
        for score in scores_of(segmenter.segment(read_volume(image)), image, label, T2_SPIR).scores:
            found.setdefault(score.organ, []).append((score.dsc, score.predicted_ml / score.reference_ml))
    return found


def main() -> None:
    """Measure and print: an offset a row, Dice and volume of each organ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    package, rows = load_model(arguments.model), []
    organs: list[str] = []
    for added in ADDED:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(with_background(package, added, Path(folder) / "model"), arguments.data)
        organs = list(found)
        means = [(statistics.fmean(d for d, _ in v), statistics.fmean(r for _, r in v)) for v in found.values()]
        rows.append([f"{added:+.1f}", *(f"{dice:.3f}, {ratio:.3f}" for dice, ratio in means)])
    print(markdown_table(["added", *organs], rows))


if __name__ == "__main__":
    main()
