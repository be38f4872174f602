"""Matching on phantoms of two sequences: bad pseudo labels of the worse one become those of the better, in place."""

import csv
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from LiverMRISegLib.anatomy import LIVER, Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import OutputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.pseudo_labels import match_domains
from LiverMRISegLib.pseudo_labels.match_domains import MatchDomainsConfig, run
from LiverMRISegLib.volume import Geometry, Volume


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


def test_worse_cases_get_the_labels_of_better_ones_in_place(study, tmp_path, monkeypatch):
    """The pairs are registered beside each other, by no more processes than there are pairs to do."""
    started = []

    class Recorded(match_domains.ProcessPoolExecutor):
        def __init__(self, workers, *more):
            started.append(workers)
            super().__init__(workers, *more)

    monkeypatch.setattr(match_domains, "ProcessPoolExecutor", Recorded)
    datalist, truths = study
    config = MatchDomainsConfig(datalist, ("GED4",), ("T2WI",), tmp_path / "out", workers=3)
    matches = run(config)
    assert run(config) == matches
    assert started == [2], "label maps made before need none"
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
    config = MatchDomainsConfig(tmp_path / "d.json", ("GED4",), ("T2WI",), tmp_path / "out", workers=0)
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
    assert "neither better nor worse are ignored: ['DWI']" in caplog.text


def test_without_better_cases_there_is_nothing_to_match(study, tmp_path):
    with pytest.raises(UsageError, match=r"needs labelled scans of DWI, and scans of T2WI; it has .*GED4, T2WI$"):
        run(MatchDomainsConfig(study[0], ("DWI",), ("T2WI",), tmp_path / "out", workers=0))
    with pytest.raises(UsageError, match="worse: unknown sequence 'T2'"):
        MatchDomainsConfig(study[0], ("GED4",), ("T2",))


def test_a_sequence_that_becomes_better_is_matched_with(study, tmp_path):
    listed = read_datalist(study[0])
    own = [s for s in listed.scans if s.patient == "p1"]
    shutil.copy(own[1].image, tmp_path / "p1_DWI.nii.gz")
    scans = [*own, replace(own[1], sequence="DWI", image=tmp_path / "p1_DWI.nii.gz")]
    config = MatchDomainsConfig(tmp_path / "d.json", ("GED4",), ("T2WI", "DWI"), tmp_path / "out", workers=0)
    write_datalist(replace(listed, scans=scans), config.datalist)
    run(config)
    first = read_labelmap(tmp_path / "out/p1_DWI.nii.gz").array
    (match,) = run(replace(config, better=("GED4", "T2WI"), worse=("DWI",)))
    second = read_labelmap(tmp_path / "out/p1_DWI.nii.gz").array
    assert np.array_equal(first, second) == (match.better == "p1_GED4")
    assert match.better == "p1_T2WI"


def test_a_case_that_cannot_be_registered_gets_no_labels_and_the_others_go_on(study, tmp_path, caplog):
    listed = read_datalist(study[0])
    thin = next(s for s in listed.scans if s.sequence == "T2WI")
    volume = read_volume(thin.image)
    part = Geometry((*volume.geometry.size[:2], 2), volume.geometry.spacing)
    write_volume(Volume(volume.array[:2], part), tmp_path / "thin.nii.gz")
    scans = [*listed.scans, replace(thin, patient="p9", image=tmp_path / "thin.nii.gz", labels=None)]
    write_datalist(replace(listed, scans=scans), tmp_path / "d.json")
    matches = run(MatchDomainsConfig(tmp_path / "d.json", ("GED4",), ("T2WI",), tmp_path / "out", workers=0))
    assert [match.worse for match in matches] == ["p1_T2WI", "p2_T2WI"]
    after = {s.patient: s.labels for s in read_datalist(tmp_path / "out/datalist.json").scans if s.sequence == "T2WI"}
    assert after.pop("p9") is None
    assert all(labels.exists() for labels in after.values())
    assert "p9_T2WI gets no labels" in caplog.text
    assert "cannot be registered" in caplog.text


def test_labels_that_are_matched_are_never_replaced(study):
    with pytest.raises(OutputError, match="which the output is made from"):
        run(MatchDomainsConfig(study[0], ("GED4",), ("T2WI",), study[0].parent))
    assert all(scan.labels.exists() for scan in read_datalist(study[0]).scans)


def test_a_killed_process_is_told_in_one_line(study, tmp_path, monkeypatch):
    class Dying(match_domains.ProcessPoolExecutor):
        def map(self, _, pairs):
            return super().map(os._exit, [1 for _ in pairs])

    config = MatchDomainsConfig(study[0], ("GED4",), ("T2WI",), tmp_path / "out", workers=2)
    monkeypatch.setattr(match_domains, "ProcessPoolExecutor", Dying)
    with pytest.raises(UsageError, match="was killed, by the system if memory ran out"):
        run(config)
    assert len(run(replace(config, workers=0))) == 2
