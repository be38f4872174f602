"""The default model on real MR and on CT of held-out bodies: every case, the means, a sheet of pictures.

evaluate_any_sequence.py [--model NAME|PATH] [--data ../shared/data] --output FOLDER
writes scores.csv, tables.md (for the model card), metrics.json (for the package) and sheet.png, and tells how far the
labels of five contrasts of one body agree.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.evaluation.cohort import CaseScores, as_csv, as_markdown, summarise
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.atomic import atomic_write_bytes, atomic_write_text, make_folder
from LiverMRISegLib.measurement.agreement import dice
from LiverMRISegLib.pictures import sheet_png, three_planes_png
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.script import exit_status_of
from real_sets import DATA_SETS, FLIP_ANGLES, HELD_OUT_CT, DataSet, cases_of, scores_of

logger = logging.getLogger(__name__)


def evaluate(segmenter: Segmenter, data: Path, kind: DataSet, pictures: list[bytes]) -> list[CaseScores]:
    """Segment and compare every case of a data set; a picture of each is added to `pictures`."""
    found = []
    for image, label in cases_of(data, kind):
        volume = read_volume(image)
        result = segmenter.segment(volume)
        found.append(scores_of(result, image, label, kind))
        pictures.append(three_planes_png(volume, result.labelmap, result.labels))
        logger.info("%s: %s", image.name, ", ".join(f"{s.organ} {s.dsc:.3f}" for s in found[-1].scores))
    return found


def agreement(segmenter: Segmenter, data: Path, pictures: list[bytes]) -> dict[str, list[float]]:
    """Dice per organ between the labels of all pairs of the flip angles; a pair without the organ is left out."""
    volumes = [read_volume(path) for path in sorted(data.glob(FLIP_ANGLES))]
    results = [segmenter.segment(volume) for volume in volumes]
    pictures.extend(three_planes_png(v, r.labelmap, r.labels) for v, r in zip(volumes, results, strict=True))
    found: dict[str, list[float]] = {}
    for first, second in itertools.combinations(results, 2):
        for value, organ in first.labels.items():
            masks = first.labelmap == value, second.labelmap == value
            if masks[0].any() or masks[1].any():
                found.setdefault(organ.name, []).append(dice(*masks))
    return found


def summary(kind: DataSet, cases: Sequence[CaseScores]) -> dict[str, Any]:
    """Mean Dice per organ, as the package holds it."""
    means = {s.organ: round(s.dsc_mean, 3) for s in summarise(cases)}
    return {"data set": kind.name, "cases": len(cases), "figure": "mean Dice", **means}


def run(model: str, data: Path, output: Path) -> None:
    """Evaluate, write, tell."""
    make_folder(output)
    segmenter, pictures = Segmenter.load(model), list[bytes]()
    results = [(kind, evaluate(segmenter, data, kind, pictures)) for kind in (*DATA_SETS, HELD_OUT_CT)]
    agreed = agreement(segmenter, data, pictures)
    atomic_write_text(output / "scores.csv", as_csv([case for _, cases in results for case in cases]))
    tables = [f"{kind.name}, Dice\n\n{as_markdown(cases)}" for kind, cases in results]
    tables.append(f"Five contrasts of one body, mean Dice between pairs (lowest): {told(agreed)}\n")
    atomic_write_text(output / "tables.md", "\n".join(tables))
    metrics = [summary(kind, cases) for kind, cases in results]
    atomic_write_text(output / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    atomic_write_bytes(output / "sheet.png", sheet_png(pictures))
    for kind, cases in results:
        for s in summarise(cases):
            logger.info(
                "%s, %d cases: %-20s Dice %.3f (SD %.3f, lowest %.3f), NSD %.3f, HD95 median %.1f mm",
                kind.name, s.cases, s.organ, s.dsc_mean, s.dsc_sd, s.dsc_lowest, s.nsd_mean,
                s.hd95_median,
            )  # fmt: skip
    logger.info("five contrasts of one body, mean Dice between pairs (lowest): %s", told(agreed))


def main() -> int:
    """Read the command line and run; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    return exit_status_of(lambda: run(arguments.model, arguments.data, arguments.output), "stopped")


def told(scores: Mapping[str, Sequence[float]]) -> str:
    """ "liver 0.950 (0.930), spleen 0.900 (0.850)"."""
    return ", ".join(f"{organ} {statistics.fmean(each):.3f} ({min(each):.3f})" for organ, each in scores.items())


if __name__ == "__main__":
    sys.exit(main())
