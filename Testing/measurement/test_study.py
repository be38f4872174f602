"""Volumes of one study that agree or not, and time points of one patient."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.ellipsoids import ellipsoid, grid
from LiverMRISegLib.anatomy import CHAOS, LIVER, SPLEEN, LabelSet
from LiverMRISegLib.measurement.maps import quantity_map
from LiverMRISegLib.measurement.organs import measure
from LiverMRISegLib.measurement.over_time import study_table
from LiverMRISegLib.measurement.study import Place, disagreements
from LiverMRISegLib.volume import Volume

FIELD = (60.0, 50.0, 110.0)
OWN = LabelSet("own", {7: SPLEEN, 9: LIVER})


def place(name, spacing=(2.0, 2.0, 3.0), half_axes=(30, 22, 55), centre=(0, 0, 0), frame="", labels=CHAOS, **field):
    geometry = grid(spacing, **{"half": FIELD, **field})
    array = ellipsoid(geometry, half_axes, centre).astype(np.uint8) * labels.value_of(SPLEEN)
    metadata = {"frame of reference": frame} if frame else {}
    return Place.of(name, Volume(array, geometry, name, metadata), labels)


def test_a_breath_apart_volumes_agree():
    first, second = place("t1"), place("t2", (1.5, 1.5, 6.0), centre=(4, 5, 25), labels=OWN)
    assert disagreements([first, second]) == {"t1": {}, "t2": {}}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            {"half_axes": (25, 16, 40)},
            r"spleen disagrees with t2 \(68 mL, here 152 mL; of another size\): look at both",
        ),
        ({"half_axes": (55, 46, 14)}, r"151 mL, here 152 mL; of another shape, Dice 0\.\d\d after moving it there"),
        ({"centre": (0, 0, 53)}, "53 mm away"),
        ({"half_axes": (0.1, 0.1, 0.1), "centre": (300, 0, 0)}, r"t2 \(0 mL, here 152 mL; found in one only\)"),
    ],
)
def test_both_say_where_they_disagree(other, words):
    other = {"spacing": (1.5, 1.5, 6.0), **other}
    found = disagreements([place("t1"), place("t2", **other)])
    first, second = found["t1"]["spleen"], found["t2"]["spleen"]
    assert re.search(words, first), first
    assert second.startswith("spleen disagrees with t1 (15")


def test_only_what_both_show_is_compared():
    low = {"half": (60.0, 50.0, 40.0), "shift": (0.0, 0.0, -50.0)}
    assert disagreements([place("whole"), place("part", **low)]) == {"whole": {}, "part": {}}
    beside = {"shift": (500.0, 0.0, 0.0)}
    assert disagreements([place("here"), place("elsewhere", **beside)]) == {"here": {}, "elsewhere": {}}
    frames = disagreements([place("a", frame="1.2"), place("b", half_axes=(25, 16, 40), frame="1.3")])
    assert frames == {"a": {}, "b": {}}


def test_of_many_that_disagree_some_are_named():
    small = [place(f"t{n}", half_axes=(25, 16, 40)) for n in range(5)]
    found = disagreements([place("large"), *small])
    assert found["large"]["spleen"].count("of another size") == 3
    assert found["large"]["spleen"].endswith(" and 2 more: look at both")
    assert len(found["t3"]) == 1


def test_a_table_over_time_has_differences_to_the_first():
    geometry = grid()
    small, large = (ellipsoid(geometry, axes) for axes in ((20, 20, 40), (25, 22, 50)))
    cases = []
    for name, mask, value in (("2024", small, 12.0), ("2025", large, 9.0), ("2026", large & False, 0.0)):
        labels = Volume(mask.astype(np.uint8) * 4, geometry, name)
        pdff = Volume(np.full(geometry.shape, value, np.float32), geometry)
        cases.append(measure(labels, CHAOS, {"pdff": quantity_map("pdff", pdff)}))
    header, rows = study_table(cases)
    assert header == [
        "organ", "figure", "unit", "2024", "2025", "2026", "2025 minus 2024", "2025 minus 2024, %",
        "2026 minus 2024", "2026 minus 2024, %", "remarks",
    ]  # fmt: skip
    spleen = {row[1]: row for row in rows if row[0] == "spleen"}
    assert list(spleen) == ["volume", "craniocaudal length", "longest diameter", "pdff mean", "pdff median"]
    first, second = (case.of(SPLEEN).volume_ml for case in cases[:2])
    assert float(spleen["volume"][6]) == pytest.approx(second - first, rel=1e-4)
    assert float(spleen["volume"][7]) == pytest.approx(100 * (second / first - 1), abs=0.1)
    assert spleen["pdff mean"][2:9] == ["%", "12", "9", "", "-3", "-25.0", ""]
    assert spleen["volume"][5] == spleen["volume"][8] == ""
    assert spleen["volume"][-1] == "2026: spleen was not found"
    kidneys = next(row for row in rows if row[0] == "total kidney volume")
    assert kidneys[3:6] == ["", "", ""]
    assert "2024: right kidney was not found and is not in the sum" in kidneys[-1]


def test_places_keep_their_frame_of_reference():
    assert replace(place("t1", frame="1.2"), name="x").labelmap.metadata["frame of reference"] == "1.2"
