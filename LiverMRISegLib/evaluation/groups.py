"""Scores of a cohort by sequence, vendor, centre and distribution: the tables of a paper such as 001."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Sequence

from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.evaluation.cohort import CaseScores
from LiverMRISegLib.evaluation.metrics import OrganScores
from LiverMRISegLib.io.tables import csv_table

ALL, SEEN, UNSEEN = "all", "in distribution", "out of distribution"
_DISTANCES = ("hd", "hd95", "hd95_pooled")
_COLUMNS = (
    "organ", "sequence", "group", "cases", "failed", "not found", "DSC", "DSC SD", "HD, mm", "HD SD",
    "HD95, mm", "HD95 SD", "HD95 pooled, mm", "HD95 pooled SD",
)  # fmt: skip


def grouped_table(cases: Sequence[tuple[Scan, CaseScores]], seen_vendors: Collection[str] = ()) -> str:
    """A CSV line per organ, sequence and group, each first over all sequences.

    Groups: all cases, those of each vendor and of each centre, and, where `seen_vendors` names the vendors that the
    model was trained on, in and out of distribution. Distances are means over the cases where both masks have voxels;
    "not found" counts those where one alone has, "failed" the cases without any score.
    """
    organs = list(dict.fromkeys(scores.organ for _, case in cases for scores in case.scores))
    rows = []
    for organ in organs:
        for sequence in (ALL, *sorted({scan.sequence for scan, _ in cases})):
            chosen = [pair for pair in cases if sequence in (ALL, pair[0].sequence)]
            for group, members in _groups(chosen, seen_vendors):
                rows.append([organ, sequence, group, *_figures(members, organ)])
    return csv_table(_COLUMNS, rows)


def _groups(
    cases: Sequence[tuple[Scan, CaseScores]], seen_vendors: Collection[str]
) -> Iterator[tuple[str, list[CaseScores]]]:
    yield ALL, [case for _, case in cases]
    for name, of in (("vendor", lambda scan: scan.vendor), ("centre", lambda scan: scan.centre)):
        for value in sorted({of(scan) for scan, _ in cases} - {""}):
            yield f"{name} {value}", [case for scan, case in cases if of(scan) == value]
    if seen_vendors:
        for group, is_seen in ((SEEN, True), (UNSEEN, False)):
            members = [case for scan, case in cases if (scan.vendor in seen_vendors) == is_seen]
            if members:
                yield group, members


def _figures(cases: Sequence[CaseScores], organ: str) -> list[str]:
    scores = [scores for case in cases for scores in case.scores if scores.organ == organ]
    failed = sum(bool(case.error) for case in cases)
    # Of an organ that neither has the distance is 0, and says nothing of outlines.
    measured = [s for s in scores if math.isfinite(s.hd) and s.reference_ml > 0]
    missed = sum(math.isinf(s.hd) for s in scores)
    figures = [*_mean_and_deviation([s.dsc for s in scores], ".4f")]
    for name in _DISTANCES:
        figures += _mean_and_deviation([_distance(s, name) for s in measured], ".2f")
    return [str(len(scores)), str(failed), str(missed), *figures]


def _distance(scores: OrganScores, name: str) -> float:
    distance: float = getattr(scores, name)
    return distance


def _mean_and_deviation(values: Sequence[float], form: str) -> tuple[str, str]:
    if not values:
        return "", ""
    return format(statistics.mean(values), form), format(statistics.stdev(values), form) if len(values) > 1 else ""
