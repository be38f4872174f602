"""Which score chooses cases and finds poor outlines: trust, or agreement of the image at several gammas?

case_choice.py [--model NAME|PATH] [--data ../shared/data] [--changes N] --output FOLDER
writes outlines.csv (an organ of a volume a line; the same command goes on where it was stopped) and prints two tables.

Volumes and corruptions are those of `trust.py`. Trust costs no further pass of the network, a look at one other gamma
one, the consistency of `scripts/train/pseudo_label.py` at three gammas two.
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy.stats import spearmanr

from LiverMRISegLib.evaluation.trust_fit import FALSE_ALARMS, POOR, samples_of
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.trust import trust_of
from LiverMRISegLib.io.tables import csv_table, markdown_table
from LiverMRISegLib.pseudo_labels.pseudo_label import fold_labels
from LiverMRISegLib.pseudo_labels.ranking import case_scores, consistency
from trust import Task, all_measured, parser_of, usable

_DARKER, _BRIGHTER = 1.6, 0.6


@dataclass(frozen=True)
class Outline:
    """An organ that the reference shows: its true Dice and the scores, 0 where nothing was found."""

    data_set: str
    case: str
    change: str
    organ: str
    dice: float
    trust: float
    brighter: float
    darker: float
    consistency: float


_SCORES: dict[str, Callable[[Outline], float]] = {
    "trust": lambda o: o.trust,
    "a look at gamma 0.6": lambda o: o.brighter,
    "a look at gamma 1.6": lambda o: o.darker,
    "consistency of gammas 0.6, 1, 1.6": lambda o: o.consistency,
    "mean of trust and gamma 0.6": lambda o: (o.trust + o.brighter) / 2,
    "mean of trust and consistency": lambda o: (o.trust + o.consistency) / 2,
}


def measured(segmenter: Segmenter, task: Task) -> list[Outline]:
    """The organs of a task that its reference shows."""
    made = usable(task)
    if made is None:
        return []
    (image, reference), change = made
    spec = segmenter.package.spec
    result = segmenter.segment(image)
    samples = samples_of((task.kind.name, task.case, change), result, reference.array, task.kind.labels)
    trust = trust_of({s.organ: s.signs for s in samples if s.signs}, spec.trust)
    (brighter, plain, darker), _ = fold_labels(image, [segmenter], (_BRIGHTER, 1.0, _DARKER))
    classes = {organ.name: channel for channel, organ in enumerate(spec.labels.values(), start=1)}
    several = {
        kind: consistency(votes, len(classes))
        for kind, votes in (("b", (plain, brighter)), ("d", (plain, darker)), ("all", (brighter, plain, darker)))
    }
    return [
        Outline(
            s.data_set, s.case, s.change, s.organ, s.dice, trust.get(s.organ, 0.0),
            *(several[kind].get(classes[s.organ], 0.0) for kind in ("b", "d", "all")),
        )
        for s in samples
    ]  # fmt: skip


def as_csv(outlines: Sequence[Outline]) -> str:
    """A line an outline."""
    names = [field.name for field in fields(Outline)]
    rows = [[f"{v:.4f}" if isinstance(v, float) else v for v in astuple(outline)] for outline in outlines]
    return csv_table(names, rows)


def from_csv(text: str) -> list[Outline]:
    """What `as_csv` wrote."""
    return [
        Outline(r["data_set"], r["case"], r["change"], r["organ"], *(float(r[f.name]) for f in fields(Outline)[4:]))
        for r in csv.DictReader(io.StringIO(text))
    ]


def outline_table(outlines: Sequence[Outline]) -> str:
    """How each score ranks outlines, of each set and of all, and the share of poor ones that it finds."""
    sets = [*dict.fromkeys(o.data_set for o in outlines), "all"]
    rows = []
    for name, score in _SCORES.items():
        cells = []
        for data_set in sets:
            own = [o for o in outlines if data_set in (o.data_set, "all")]
            truth, scores = np.array([o.dice for o in own]), np.array([score(o) for o in own])
            limit = np.quantile(scores[truth >= POOR], FALSE_ALARMS)
            found = np.mean(scores[truth < POOR] < limit) if (truth < POOR).any() else math.nan
            cells.append(f"{spearmanr(scores, truth).statistic:.2f}, {100 * found:.0f} %")
        rows.append([name, *cells])
    return markdown_table(["score", *sets], rows)


def case_table(outlines: Sequence[Outline]) -> str:
    """How each score ranks the cases of a set, and the mean Dice of the half that it chooses."""
    sets = list(dict.fromkeys(o.data_set for o in outlines))
    rows = []
    for name, score in {"the true Dice": lambda o: o.dice, "any half": None, **_SCORES}.items():
        cells = []
        for data_set in sets:
            own = [o for o in outlines if o.data_set == data_set]
            truth = _by_case(own, lambda o: o.dice)
            scores = _by_case(own, score) if score else dict.fromkeys(truth, 0.0)
            best = sorted(truth, key=lambda case: -scores[case])[: len(truth) // 2 if score else len(truth)]
            rank = spearmanr([scores[c] for c in truth], list(truth.values())).statistic if score else math.nan
            cells.append(f"{rank:.2f}, {np.mean([truth[case] for case in best]):.3f}")
        rows.append([name, *cells])
    return markdown_table(["chosen by", *sets], rows)


def _by_case(outlines: Sequence[Outline], score: Callable[[Outline], float]) -> dict[str, float]:
    """The score of every case: the mean over its organs."""
    cases: dict[str, dict[int, float]] = defaultdict(dict)
    organs = list(dict.fromkeys(o.organ for o in outlines))
    for outline in outlines:
        cases[outline.case][organs.index(outline.organ)] = score(outline)
    return case_scores(cases)


def main() -> None:
    """Measure and print."""
    outlines = all_measured(parser_of(__doc__, 3).parse_args(), "outlines.csv", measured, as_csv, from_csv)
    print(outline_table(outlines))
    print()
    print(case_table(outlines))


if __name__ == "__main__":
    main()
