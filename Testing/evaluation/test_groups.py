"""Scores by sequence, vendor and distribution, against means worked out by hand."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.evaluation.cohort import CaseScores
from LiverMRISegLib.evaluation.groups import grouped_table
from LiverMRISegLib.evaluation.metrics import OrganScores


def judged(number, sequence, vendor, centre, dsc, hd):
    scan = Scan(f"p{number}", sequence, Path(f"p{number}.nii.gz"), vendor=vendor, centre=centre)
    return scan, CaseScores(f"p{number}", (OrganScores("liver", dsc, dsc, hd, hd / 2, hd / 4, 1.0, 1.0),))


CASES = [
    judged(0, "GED4", "A", "A", 0.9, 10.0),
    judged(1, "GED4", "B", "B1", 0.8, 20.0),
    judged(2, "GED4", "C", "C", 0.7, 40.0),
    judged(3, "T1WI", "C", "C", 0.0, math.inf),
    (Scan("p4", "T1WI", Path("p4.nii.gz"), vendor="A"), CaseScores("p4", error="p4: damaged")),
]


def rows(*seen):
    return {(r["sequence"], r["group"]): r for r in csv.DictReader(grouped_table(CASES, seen).splitlines())}


def test_means_of_every_group():
    found = rows("A", "B")
    everything = found["all", "all"]
    assert (everything["cases"], everything["failed"], everything["not found"]) == ("4", "1", "1")
    assert float(everything["DSC"]) == pytest.approx(0.6)
    assert [float(everything[k]) for k in ("HD, mm", "HD95, mm", "HD95 pooled, mm")] == pytest.approx(
        [70 / 3, 35 / 3, 17.5 / 3], abs=0.01
    )
    ged4 = found["GED4", "in distribution"]
    assert (ged4["cases"], float(ged4["DSC"]), float(ged4["HD SD"])) == ("2", 0.85, 7.07)
    assert float(found["GED4", "out of distribution"]["DSC"]) == 0.7
    assert float(found["GED4", "vendor B"]["HD, mm"]) == 20
    assert found["GED4", "centre B1"]["cases"] == "1"
    assert found["T1WI", "all"]["HD, mm"] == ""


def test_without_seen_vendors_there_is_no_distribution():
    assert not any("distribution" in group for _, group in rows())


def test_an_organ_that_neither_mask_has_gives_no_distance():
    """Its distance of 0 is no outline's; nor was it missed."""
    neither = CaseScores("p5", (OrganScores("liver", 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),))
    cases = [*CASES, (replace(CASES[0][0], patient="p5"), neither)]
    (everything,) = [
        row
        for row in csv.DictReader(grouped_table(cases).splitlines())
        if (row["sequence"], row["group"]) == ("all", "all")
    ]
    assert (everything["cases"], everything["not found"], everything["HD, mm"]) == ("5", "1", "23.33")
    assert float(everything["DSC"]) == pytest.approx(0.68)
