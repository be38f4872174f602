"""Does the trust score predict the Dice of real volumes? Each clean, and made worse by one to three corruptions.

trust.py [--model NAME|PATH] [--data ../shared/data] [--changes N] [--trust trust.json] --output FOLDER
writes samples.csv (an organ of a volume a line; the same command goes on where it was stopped) and prints the table.
--trust: other weights than those of the model's package, as `scripts/train/fit_trust.py` writes them.

The sets are those of `scripts/train/real_sets.py`. Where only some slices are labelled, only these count.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.evaluation.corruption import Pair, corrupted
from LiverMRISegLib.evaluation.trust_fit import Sample, as_csv, figures, from_csv, samples_of
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.dataclass_reader import read_dataclass
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.specification import TrustSpec
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.volume import reorient

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "train"))
from real_sets import DATA_SETS, DataSet, cases_of


@dataclass(frozen=True)
class Task:
    """One volume as it is or changed for the `number`th time."""

    kind: DataSet
    image: Path
    label: Path
    number: int

    @property
    def case(self) -> str:
        """Names the volume and the change."""
        return f"{self.image.name.removesuffix('.nii.gz')} {self.number}"

    def pair(self) -> tuple[Pair, str]:
        """Image and reference, and what was done to them; with the same random numbers in every run."""
        image, reference = reorient(read_volume(self.image), "LPS"), reorient(read_labelmap(self.label), "LPS")
        if self.kind.labelled_slices:  # slices that nobody labelled stay unknown, wherever a corruption turns them to
            array = reference.array.astype(np.uint8)
            array[:, ~(array > 0).any(axis=(0, 2))] = IGNORE
            reference = replace(reference, array=array)
        random = np.random.default_rng(zlib.crc32(self.case.encode()))
        count = 1 + (self.number - 1) % 3 if self.number else 0
        return corrupted(image, reference, count, random)


def usable(task: Task) -> tuple[Pair, str] | None:
    """As `Task.pair`; None, and a word why, for a slab around nothing."""
    try:
        return task.pair()
    except UsageError as error:
        print(f"{task.case}: {error}", flush=True)
        return None


def tasks(data: Path, changes: int) -> Iterator[Task]:
    """Every volume, then each changed once, then again."""
    for number in range(changes + 1):
        for kind in DATA_SETS:
            for image, label in cases_of(data, kind):
                yield Task(kind, image, label, number)


def measured(segmenter: Segmenter, task: Task) -> list[Sample]:
    """The organs of a task that its reference shows."""
    made = usable(task)
    if made is None:
        return []
    (image, reference), change = made
    names = (task.kind.name, task.case, change)
    return samples_of(names, segmenter.segment(image), reference.array, task.kind.labels)


def table(samples: list[Sample], spec: TrustSpec) -> str:
    """A row a data set and a row for all of them, as clean and with corruptions."""
    rows = []
    for name in (*dict.fromkeys(s.data_set for s in samples), "all"):
        for change in ("clean", "corrupted", "both"):
            own = [s for s in samples if name in (s.data_set, "all") and change in (_kind(s), "both")]
            found = figures(own, spec)
            shares = (found.sensitivity, found.flagged, found.false_alarms)
            rows.append([
                name, change, str(found.outlines), str(found.poor), f"{found.rank_correlation:.2f}",
                *(f"{100 * share:.0f} %" for share in shares), f"{found.error:.3f}", f"{found.first_loss:.3f}",
                f"{found.chance_loss:.3f}", str(sum(not s.signs for s in own)),
            ])  # fmt: skip
    header = [
        "set", "images", "outlines", "below 0.8", "rank correlation", "found at 10 % false alarms", "flagged",
        "false alarms", "mean error", "first above the lowest", "by chance", "not found",
    ]  # fmt: skip
    return markdown_table(header, rows)


def _kind(sample: Sample) -> str:
    return "clean" if sample.change == "clean" else "corrupted"


def _weights(file: Path | None, model: str) -> TrustSpec:
    if file is not None:
        return read_dataclass(TrustSpec, json.loads(file.read_text(encoding="utf-8")), str(file))
    found = load_model(model).spec.trust
    if found is None:
        raise ModelError(f"model {model} has no weights for the trust score; give them with --trust")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--changes", type=int, default=6, help="how often each volume is corrupted")
    parser.add_argument("--trust", type=Path, help="weights as fit_trust.py writes them")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    file = arguments.output / "samples.csv"
    samples = from_csv(file.read_text(encoding="utf-8"), str(file)) if file.exists() else []
    done = {s.case for s in samples}
    segmenter = Segmenter.load(arguments.model)
    for task in tasks(arguments.data, arguments.changes):
        if task.case not in done:
            samples += measured(segmenter, task)
            atomic_write_text(file, as_csv(samples))
            print(f"{task.case}: measured", flush=True)
    print(table(samples, _weights(arguments.trust, arguments.model)))


if __name__ == "__main__":
    main()
