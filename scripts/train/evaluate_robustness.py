"""How far a model can be pushed: the real MR volumes corrupted in known ways, Dice per organ against the clean ones.

evaluate_robustness.py [--model NAME|PATH] [--data ../shared/data] [--cases N] [--strongest] [--t1] --output FOLDER
writes robustness.csv (every case) and robustness.md (the means); both grow with every case.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from LiverMRISegLib.evaluation.robustness import Score, as_csv, as_markdown, score_corruptions
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_text, make_folder
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.script import exit_status_of
from LiverMRISegLib.volume import Volume
from real_sets import T1_SLAB, T2_SPIR, DataSet, cases_of

logger = logging.getLogger(__name__)


def evaluate(
    segmenter: Segmenter, data: Path, kind: DataSet, output: Path, most: int | None, *, strongest_only: bool
) -> None:
    """Measure the first `most` cases of a data set (None: all); the tables are written anew after each."""

    def segment(volume: Volume) -> Volume:
        """The labels of `volume`, on its grid."""
        result = segmenter.segment(volume)
        return Volume(result.labelmap, result.geometry, volume.name)

    scores: list[Score] = []
    for image, label in cases_of(data, kind)[:most]:
        pair = read_volume(image), read_labelmap(label)
        labels = segmenter.package.spec.labels, kind.labels
        scores.extend(score_corruptions(*pair, segment, *labels, strongest_only=strongest_only))
        atomic_write_text(output / "robustness.csv", as_csv(scores))
        atomic_write_text(output / "robustness.md", f"{kind.name}, mean Dice\n\n{as_markdown(scores)}")
        logger.info("%s: measured", image.name)


def main() -> int:
    """Evaluate, write, tell; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cases", type=int, help="only the first so many")
    parser.add_argument("--strongest", action="store_true", help="of each kind of corruption only the strongest")
    parser.add_argument("--t1", action="store_true", help="the T1 slab (3 mm) instead of the T2 volumes (7.7 mm)")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    def whole() -> None:
        """The model on the chosen volumes."""
        make_folder(arguments.output)
        segmenter = Segmenter.load(arguments.model)
        kind = T1_SLAB if arguments.t1 else T2_SPIR
        evaluate(segmenter, arguments.data, kind, arguments.output, arguments.cases, strongest_only=arguments.strongest)

    return exit_status_of(whole, "stopped; the tables have the cases that were done")


if __name__ == "__main__":
    sys.exit(main())
