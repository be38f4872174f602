"""--one-study of `segment`: both volumes that disagree are flagged, in the results and in the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.ellipsoids import ellipsoid, grid
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.commands.case_result import DONE, CaseResult
from LiverMRISegLib.commands.one_study import OneStudy
from LiverMRISegLib.commands.plan import SegmentCase
from LiverMRISegLib.commands.report_option import Report
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.volume import Volume

FIELD = grid((3.0, 3.0, 4.0), (60.0, 50.0, 100.0))


def segmented(name, half_axes):
    labels = ellipsoid(FIELD, half_axes).astype(np.uint8) * 4
    volume = Volume(labels.astype(np.float32), FIELD, name)
    return SegmentCase(name, Path(f"{name}.nii"), Path(f"{name}_seg.nii")), Segmentation(
        labels, CHAOS, FIELD, {}, [], {}, volume
    )


def results(study, *takers):
    for name, half_axes in (("t1", (30, 22, 55)), ("t2", (25, 18, 38)), ("t3", (30, 22, 54))):
        case, segmentation = segmented(name, half_axes)
        for taker in (study, *takers):
            taker.add(case, segmentation.source, segmentation)
        yield CaseResult(case, DONE, flags=["own"])


def test_both_that_disagree_are_flagged(tmp_path):
    class NoPlan:
        cases = ()

    study, report = OneStudy(True), Report(tmp_path / "r.html", NoPlan())
    found = study.flagged(results(study, report))
    first, second, third = ([flag for flag in one.flags if flag != "own"] for one in found)
    assert [len(flags) for flags in (first, second, third)] == [1, 1, 1]
    assert first[0].startswith("spleen disagrees with t2 (")
    assert second[0].startswith("spleen disagrees with t1 (")
    assert ", t3 (" in second[0]
    report.add_flags(study.said)
    report.write()
    assert (tmp_path / "r.html").read_text().count("spleen disagrees with") == 3


def test_without_the_option_nothing_is_compared():
    study = OneStudy(False)
    assert [one.flags for one in study.flagged(results(study))] == [["own"]] * 3
