"""The default model with and without `inference.image_refinement`: Dice and seconds on the real volumes.

image_refinement.py [MODEL] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.resources import DEFAULT_MODEL

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "train"))
from real_sets import DATA_SETS, DataSet, cases_of, scores_of


def measured(segmenter: Segmenter, data: Path, kind: DataSet) -> tuple[dict[str, list[float]], float]:
    """Dice of every case per organ, and the mean seconds of a case."""
    dice: dict[str, list[float]] = {}
    seconds = []
    for image, label in cases_of(data, kind):
        volume = read_volume(image)
        start = time.perf_counter()
        result = segmenter.segment(volume)
        seconds.append(time.perf_counter() - start)
        for score in scores_of(result, image, label, kind).scores:
            dice.setdefault(score.organ, []).append(score.dsc)
    return dice, statistics.fmean(seconds)


def main() -> None:
    """Measure and print; the last line of each data set holds the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    package = load_model(arguments.model)
    runs = {}
    for on in (False, True):
        asked = package.run_by(replace(package.spec.inference, image_refinement=on))
        runs[on] = Segmenter(asked, load_engine(asked, "cpu"))
    for kind in DATA_SETS:
        (before, slow), (after, fast) = (measured(runs[on], arguments.data, kind) for on in (False, True))
        for organ, values in before.items():
            was, now = statistics.fmean(values), statistics.fmean(after[organ])
            print(f"{organ:20s} {was:.3f} (lowest {min(values):.3f}) -> {now:.3f} (lowest {min(after[organ]):.3f})")
        means = [statistics.fmean(statistics.fmean(v) for v in found.values()) for found in (before, after)]
        print(
            f"RATIO image_refinement, {kind.name}: mean Dice {means[0]:.3f} -> {means[1]:.3f}, "
            f"{fast / slow:.2f} times the seconds ({slow:.2f} -> {fast:.2f})"
        )


if __name__ == "__main__":
    main()
