"""Make the README's pictures from the running software: python scripts/make_screenshots.py."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io.atomic import atomic_write_bytes
from LiverMRISegLib.phantom.study import make_study
from LiverMRISegLib.pictures import three_planes_png

FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "Screenshots"
SEQUENCES = (Sequence.T2WI, Sequence.T1WI, Sequence.GED4)


def main() -> int:
    """Segment the phantom in three sequences and write a picture of each."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    segmenter = Segmenter.load()
    for sequence, scan in make_study(SEQUENCES, seed=1).items():
        result = segmenter.segment(scan.volume)
        path = FOLDER / f"phantom_{sequence.value}.png"
        atomic_write_bytes(path, three_planes_png(scan.volume, result.labelmap, result.labels))
        logging.getLogger(__name__).info("%s written", path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
