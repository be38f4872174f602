"""Matching on phantoms of two sequences: bad pseudo labels of the worse one become those of the better, in place."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from LiverMRISegLib.adaptation.match_domains import MatchDomainsConfig, run
from LiverMRISegLib.anatomy import LIVER, Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.data.phantom import LABELS, make_study
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.volume import Volume


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    scans, truths = [], {}
    for patient in (1, 2):
        made = make_study([Sequence.GED4, Sequence.T2WI], patient, in_plane_mm=4.0, slice_mm=8.0)
        for sequence, scan in made.items():
            liver = (scan.labelmap.array == LABELS.value_of(LIVER)).astype(np.uint8)
            name = f"p{patient}_{sequence.value}"
            truths[name] = liver
            pseudo = liver.copy()
            if sequence is Sequence.T2WI:
                pseudo[:, :, liver.shape[2] // 3 :] = 0
            image, labels = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
            write_volume(scan.volume, image)
            write_volume(Volume(pseudo, scan.volume.geometry), labels)
            scans.append(Scan(f"p{patient}", sequence.value, image, labels))
    write_datalist(Datalist("pseudo", "none", {1: "liver"}, scans), folder / "datalist.json")
    return folder / "datalist.json", truths


def dice(a, b) -> float:
    return float(2 * ((a > 0) & (b > 0)).sum() / ((a > 0).sum() + (b > 0).sum()))


def test_worse_cases_get_the_labels_of_better_ones_in_place(study, tmp_path):
    datalist, truths = study
    matches = run(MatchDomainsConfig(datalist, ("GED4",), ("T2WI",), tmp_path / "out"))
    assert [(m.worse, m.better) for m in matches] == [("p1_T2WI", "p1_GED4"), ("p2_T2WI", "p2_GED4")]
    before = read_datalist(datalist)
    after = read_datalist(tmp_path / "out/datalist.json")
    assert len(after.scans) == 4
    for scan in after.scans:
        if scan.sequence == "T2WI":
            name = f"{scan.patient}_T2WI"
            old = next(s for s in before.scans if s.image == scan.image)
            gained = dice(read_labelmap(scan.labels).array, truths[name])
            assert gained > dice(read_labelmap(old.labels).array, truths[name]) + 0.1
            assert gained > 0.75
    rows = list(csv.DictReader((tmp_path / "out/matches.csv").open()))
    assert rows[0]["labels from"] == "p1_GED4"


def test_other_labels_of_a_worse_case_match_it_anew(study, tmp_path, caplog):
    datalist, _ = study
    listed = read_datalist(datalist)
    first = next(s for s in listed.scans if s.sequence == "T2WI")
    moved = replace(first, patient="p3", labels=tmp_path / "own_label.nii.gz")
    better = [s for s in listed.scans if s.sequence == "GED4"]
    sizes = {s.patient: int((read_labelmap(s.labels).array > 0).sum()) for s in better}
    large, small = max(sizes, key=sizes.get), min(sizes, key=sizes.get)
    config = MatchDomainsConfig(tmp_path / "d.json", ("GED4",), ("T2WI",), tmp_path / "out")
    maps = []
    second = next(s for s in listed.scans if s.sequence == "T2WI" and s is not first)
    other = replace(second, patient="p4", sequence="DWI")
    for patient in (large, small):
        own = next(s for s in better if s.patient == patient)
        write_volume(read_labelmap(own.labels), moved.labels)
        write_datalist(replace(listed, scans=[*better, moved, other]), config.datalist)
        assert [match.better for match in run(config)] == [f"{patient}_GED4"]
        maps.append(read_labelmap(tmp_path / "out/p3_T2WI.nii.gz").array)
    assert not np.array_equal(*maps)
    assert "neither better nor worse are left out: ['DWI']" in caplog.text


def test_without_better_cases_there_is_nothing_to_match(study, tmp_path):
    with pytest.raises(UsageError, match="needs labelled scans"):
        run(MatchDomainsConfig(study[0], ("DWI",), ("T2WI",), tmp_path / "out"))
