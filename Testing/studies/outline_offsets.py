"""How far the outlines of kidneys and spleen should be moved after they were drawn to the image: Dice and volumes.

outline_offsets.py [MODEL] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.resources import DEFAULT_MODEL

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "train"))
from real_sets import DATA_SETS, DataSet, cases_of, scores_of

OFFSETS = (0.0, 0.2, 0.4, 0.6, 0.8)
ORGANS = ("right kidney", "left kidney", "spleen")


def measured(segmenter: Segmenter, data: Path, kind: DataSet) -> dict[str, tuple[float, float]]:
    """Mean Dice and mean volume against the reference's, of these organs."""
    found: dict[str, list[tuple[float, float]]] = {}
    for image, label in cases_of(data, kind):
        for score in scores_of(segmenter.segment(read_volume(image)), image, label, kind).scores:
            if score.organ in ORGANS:
                found.setdefault(score.organ, []).append((score.dsc, score.predicted_ml / score.reference_ml))
    return {organ: (statistics.fmean(d for d, _ in v), statistics.fmean(r for _, r in v)) for organ, v in found.items()}


def main() -> None:
    """Measure and print: a data set and an offset a row, Dice and volume of each organ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    package = load_model(arguments.model)
    engine, rows = load_engine(package, "cpu"), []
    for kind in DATA_SETS:
        for offset in OFFSETS:
            asked = package.run_by(replace(package.spec.inference, outline_offsets=dict.fromkeys(ORGANS, offset)))
            found = measured(Segmenter(asked, engine), arguments.data, kind)
            cells = (f"{found[o][0]:.3f}, {found[o][1]:.3f}" if o in found else "" for o in ORGANS)
            rows.append([kind.name, f"{offset:.1f}", *cells])
    print(markdown_table(["data set", "offset", *ORGANS], rows))


if __name__ == "__main__":
    main()
