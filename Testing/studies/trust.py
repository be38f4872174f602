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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

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

_FILE = "samples.csv"


class OfCase(Protocol):
    """A figure of the task that `case` names."""

    @property
    def case(self) -> str: ...


T = TypeVar("T", bound=OfCase)


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


def parser_of(description: str | None, changes: int) -> argparse.ArgumentParser:
    """The command line of a study of these volumes, which by default are corrupted `changes` times each."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--changes", type=int, default=changes, help="how often each volume is corrupted")
    parser.add_argument("--output", type=Path, required=True)
    return parser


def all_measured(
    arguments: argparse.Namespace,
    name: str,
    measure: Callable[[Segmenter, Task], list[T]],
    as_text: Callable[[list[T]], str],
    from_text: Callable[[str], list[T]],
) -> list[T]:
    """What `measure` finds in every task; kept in the file `name` of the output, where a stopped study goes on."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    file = arguments.output / name
    found = from_text(file.read_text(encoding="utf-8")) if file.exists() else []
    done = {one.case for one in found}
    segmenter = Segmenter.load(arguments.model)
    for task in tasks(arguments.data, arguments.changes):
        if task.case not in done:
            found += measure(segmenter, task)
            atomic_write_text(file, as_text(found))
            print(f"{task.case}: measured", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, 6)
    parser.add_argument("--trust", type=Path, help="weights as fit_trust.py writes them")
    arguments = parser.parse_args()
    read = partial(from_csv, where=str(arguments.output / _FILE))
    samples = all_measured(arguments, _FILE, measured, as_csv, read)
    print(table(samples, _weights(arguments.trust, arguments.model)))


if __name__ == "__main__":
    main()
