"""A datalist is read as it was written, and what is wrong with one is named."""

import json

import pytest

from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, UsageError


@pytest.fixture
def listed(tmp_path):
    """Two scans with labels, whose files are empty: a datalist only names them."""
    for name in ("im0", "lb0", "im1", "lb1"):
        (tmp_path / f"{name}.nii.gz").touch()
    scans = [Scan(f"p{n}", "GED4", tmp_path / f"im{n}.nii.gz", tmp_path / f"lb{n}.nii.gz") for n in range(2)]
    return Datalist("two", "Apache-2.0", {1: "liver"}, scans)


def test_a_datalist_is_read_as_it_was_written_wherever_it_is(listed, tmp_path):
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "two.json"
    write_datalist(listed, path)
    assert read_datalist(path) == listed
    assert str(tmp_path) not in path.read_text()


def test_what_is_wrong_with_a_datalist_is_named(listed, tmp_path):
    path = tmp_path / "two.json"
    write_datalist(listed, path)
    document = json.loads(path.read_text())
    for change, message in (
        ({"scan": []}, "unknown key 'scan'"),
        (
            {"scans": [{"patient": "x", "sequence": "T1WI", "image": "im", "label": "y"}]},
            r"unknown key 'scans\[0\].label'; did you mean 'scans\[0\].labels'",
        ),
        ({"scans": [{"patient": "x", "sequence": "T1WI", "image": "im"}]}, "im is not there"),
        ({"scans": [{"patient": "x"}]}, r"the key 'scans\[0\].sequence' is missing"),
        ({"values": {"one": "liver"}}, "the keys of values must be whole numbers, not 'one'"),
    ):
        path.write_text(json.dumps({**document, **change}))
        with pytest.raises(InputError, match=message):
            read_datalist(path)
    path.write_text("[")
    with pytest.raises(InputError, match="is not a datalist"):
        read_datalist(path)
    with pytest.raises(InputError, match=r"none\.json: cannot be read \(No such file or directory\); a datalist is"):
        read_datalist(tmp_path / "none.json")
    path.write_text(json.dumps({**document, "values": {"0": "liver"}}))
    with pytest.raises(UsageError, match="a label needs a value from 1 to 254"):
        read_datalist(path)


def test_scans_and_lists_are_checked(tmp_path):
    with pytest.raises(UsageError, match="unknown sequence 'T3'"):
        Scan("a", "T3", tmp_path)
    with pytest.raises(UsageError, match="split must be one of"):
        Scan("a", "T1WI", tmp_path, split="dev")
    with pytest.raises(UsageError, match="listed twice"):
        Datalist("x", "", {1: "liver"}, [Scan("a", "T1WI", tmp_path), Scan("b", "T1WI", tmp_path)])


@pytest.mark.parametrize(("most", "patients"), [(1, "a"), (2, "ac"), (3, "abd"), (5, "abcde"), (9, "abcde")])
def test_some_patients_are_evenly_chosen_with_all_their_scans(tmp_path, most, patients):
    scans = [Scan(name, "T2WI", tmp_path / f"{name}{n}", series=str(n)) for n in (1, 2) for name in "abcde"]
    chosen = Datalist("x", "", {}, scans).of_patients(most).scans
    assert [scan.patient for scan in chosen] == [*patients, *patients]


def test_a_datalist_of_no_patient_is_refused():
    with pytest.raises(UsageError, match="a datalist has at least 1 patient, not 0"):
        Datalist("x", "", {}, []).of_patients(0)
