"""Which scans take part: by sequence, vendor, patient and fold; test scans never."""

import json
from dataclasses import replace

import pytest

from LiverMRISegLib.data.case_selection import FoldConfig, PoolConfig, choose_pools, choose_scans
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import UsageError


@pytest.fixture
def datalist(tmp_path):
    scans = []
    for number in range(7):
        split = {5: "validation", 6: "test"}.get(number, "train")
        for sequence in ("GED4", "T2WI"):
            image = tmp_path / f"{number}_{sequence}.nii.gz"
            labels = tmp_path / f"{number}_{sequence}_label.nii.gz" if sequence == "GED4" else None
            for path in (image, labels):
                if path:
                    path.touch()
            scans.append(Scan(f"p{number}", sequence, image, labels, "AB"[number % 2], split=split))
    write_datalist(Datalist("tiny", "none", {1: "liver"}, scans), tmp_path / "d.json")
    return tmp_path / "d.json"


def names(listed):
    return sorted(f"{scan.patient} {scan.sequence}" for _, scan in listed)


def test_pools_by_sequence_and_vendor(datalist):
    pools = choose_pools([datalist], PoolConfig(("GED4",), ("A",)), PoolConfig(("GED4", "T2WI")))
    assert names(pools.labelled) == ["p0 GED4", "p2 GED4", "p4 GED4"]
    assert names(pools.unlabelled) == ["p0 T2WI", "p1 GED4", "p1 T2WI", "p2 T2WI", "p3 GED4", "p3 T2WI", "p4 T2WI"]
    assert names(pools.validation) == ["p5 GED4"]


def test_no_choice_takes_everything_but_the_test_split(datalist):
    pools = choose_pools([datalist], PoolConfig(), PoolConfig())
    assert names(pools.labelled) == [f"p{n} GED4" for n in range(5)]
    assert names(pools.unlabelled) == [f"p{n} T2WI" for n in range(5)]


def test_folds_share_the_patients_and_leave_none_out(datalist):
    held_out = []
    for number in range(5):
        pools = choose_pools([datalist], PoolConfig(), PoolConfig(), FoldConfig(number))
        assert len(pools.labelled) == 4
        assert not set(names(pools.validation)) & set(names(pools.labelled))
        held_out += names(pools.validation)
    assert sorted(held_out) == [f"p{n} GED4" for n in range(5)]
    with pytest.raises(UsageError, match="too few for 9 folds"):
        choose_pools([datalist], PoolConfig(), PoolConfig(), FoldConfig(8, 9))
    with pytest.raises(UsageError, match=r"below fold\.count"):
        FoldConfig(5)


def test_no_scan_of_a_patient_to_validate_on_is_trained_on(datalist):
    pools = choose_pools([datalist], PoolConfig(), PoolConfig(), FoldConfig(0))
    held_out = {name.split()[0] for name in names(pools.validation)}
    assert held_out == {"p0"}
    assert names(pools.unlabelled) == [f"p{n} T2WI" for n in range(1, 5)]


def test_a_patient_who_is_tested_on_with_one_scan_is_not_trained_on_with_another(datalist):
    document = json.loads(datalist.read_text())
    for scan in document["scans"]:
        if (scan["patient"], scan["sequence"]) == ("p1", "GED4"):
            scan["split"] = "test"
    datalist.write_text(json.dumps(document))
    pools = choose_pools([datalist], PoolConfig(), PoolConfig())
    assert not any(name.startswith("p1") for name in names(pools.labelled) + names(pools.unlabelled))
    tested = choose_scans([datalist], PoolConfig(), needs_labels=True, splits=["test"])
    assert names(tested) == ["p1 GED4", "p6 GED4"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_patient_whom_another_datalist_holds_out_is_not_trained_on(datalist, tmp_path, caplog, split):
    """Two public data sets may hold scans of one patient, as AMOS and FLARE do."""
    others = []
    for patient in ("p0", "p5", "p7"):
        path = tmp_path / f"other_{patient}.nii.gz"
        path.touch()
        others.append(Scan(patient, "T1WI", path, path, split=split))
    listed = read_datalist(datalist)
    others.append(replace(next(s for s in listed.scans if s.patient == "p1"), patient="the same file", split=split))
    write_datalist(Datalist("other", "none", {1: "liver"}, others), tmp_path / "other.json")
    pools = choose_pools([datalist, tmp_path / "other.json"], PoolConfig(), PoolConfig())
    assert names(pools.labelled) == [f"p{n} GED4" for n in (2, 3, 4)]
    assert names(pools.unlabelled) == [f"p{n} T2WI" for n in (2, 3, 4)]
    assert "another datalist validates or tests on them: p0, p1; if these are other patients" in caplog.text
    chosen = choose_scans([tmp_path / "other.json", datalist], PoolConfig(), needs_labels=True)
    assert names(chosen) == names(pools.labelled)
    caplog.clear()
    assert len(choose_pools([datalist, datalist], PoolConfig(), PoolConfig()).labelled) == 2 * 5
    assert not caplog.text, "a datalist may be listed twice, to count twice"


def test_one_series_of_several_may_be_chosen(datalist):
    document = json.loads(datalist.read_text())
    for number, scan in enumerate(document["scans"]):
        scan["series"] = "b400" if number % 2 else ""
    datalist.write_text(json.dumps(document))
    counts = [len(choose_scans([datalist], PoolConfig(series=s), needs_labels=False)) for s in ((), ("b400",), ("",))]
    assert counts[0] == counts[1] + counts[2]
    assert min(counts) > 0


def test_what_is_validated_on_is_what_is_trained_on(datalist):
    document = json.loads(datalist.read_text())
    for scan in document["scans"]:
        scan["labels"] = f"{scan['patient'][1:]}_GED4_label.nii.gz"
    datalist.write_text(json.dumps(document))
    supervised = choose_pools([datalist], PoolConfig(("GED4",)), PoolConfig(), uses_unlabelled=False)
    assert names(supervised.validation) == ["p5 GED4"]
    both = choose_pools([datalist], PoolConfig(("GED4",)), PoolConfig(("T2WI",)))
    assert names(both.validation) == ["p5 GED4", "p5 T2WI"]


def test_what_is_nowhere_is_named(datalist):
    with pytest.raises(UsageError, match="no labelled scan"):
        choose_pools([datalist], PoolConfig(("T2WI",)), PoolConfig())
    with pytest.raises(UsageError, match="patient 'p9'"):
        choose_scans([datalist], PoolConfig(patients=("p9",)), needs_labels=False)
    words = r"no scan of split 'train' fits the choice of sequences DWI GED4, vendors Z in .*d\.json; of that split "
    with pytest.raises(UsageError, match=words):
        choose_scans([datalist], PoolConfig(("DWI", "GED4"), ("Z",)), needs_labels=False)
    assert str(PoolConfig()) == "the choice of all scans"
    for choose in (
        lambda: choose_pools([], PoolConfig(), PoolConfig()),
        lambda: choose_scans([], PoolConfig(), needs_labels=False),
    ):
        with pytest.raises(UsageError, match="datalists must name at least one file"):
            choose()
    assert not choose_pools([], PoolConfig(), PoolConfig(), uses_labels=False, uses_unlabelled=False).labelled
    with pytest.raises(UsageError, match=r"unknown sequence 'T2'; known: T1WI, T2WI,.* CT$"):
        PoolConfig(("T2WI", "T2"))
    assert json.loads(datalist.read_text())["name"] == "tiny"
