"""Cases ranked by how much their labels change over iterations; labels united; files of other inputs made anew."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output
from LiverMRISegLib.pseudo_labels.stable_cases import StableCasesConfig, run
from LiverMRISegLib.volume import Volume


@pytest.fixture
def iterations(tmp_path):
    """Three iterations of four cases; p0 and p2 settle, p1 and p3 grow, p3 is empty at last."""
    folders = [tmp_path / f"round_{n}" for n in range(3)]
    scans = []
    for number, sequence in enumerate(["T1WI", "T1WI", "T2WI", "T2WI"]):
        volume = make_volume(oblique_directions()[0] if number == 1 else None, seed=number)
        write_volume(volume, tmp_path / f"p{number}.nii.gz")
        scans.append(Scan(f"p{number}", sequence, tmp_path / f"p{number}.nii.gz", vendor="B"))
        for turn, folder in enumerate(folders):
            folder.mkdir(exist_ok=True)
            labels = np.zeros(volume.array.shape, np.uint8)
            labels[2:6, 2 : 8 + turn * (number % 2), 3:9] = 1
            labels[8:10, 8:12, 12:16] = 2 if turn < 2 else 3
            if number == 3 and turn == 2:
                labels[:] = 0
            write_volume(Volume(labels, volume.geometry), folder / f"p{number}_{sequence}.nii.gz")
    for folder in folders:
        write_datalist(
            Datalist("pseudo", "none", {1: "liver", 2: "spleen", 3: "stomach"}, scans), folder / "datalist.json"
        )
    return tuple(folders)


def test_the_most_stable_of_each_sequence_are_kept(iterations, tmp_path):
    ranked = run(StableCasesConfig(iterations, keep=1, output=tmp_path / "out"))
    assert [(case.name, case.is_kept) for case in ranked] == [
        ("p0_T1WI", True), ("p1_T1WI", False), ("p2_T2WI", True), ("p3_T2WI", False),
    ]  # fmt: skip
    assert ranked[0].score < ranked[1].score
    assert not np.isfinite(ranked[3].score)
    listed = read_datalist(tmp_path / "out/datalist.json")
    assert [scan.labels is not None for scan in listed.scans] == [True, False, True, False]
    assert all(scan.vendor == "B" for scan in listed.scans)
    rows = list(csv.DictReader((tmp_path / "out/cases.csv").open()))
    assert float(rows[0]["change 1"]) == 0
    assert float(rows[0]["change 2"]) > 0
    assert (tmp_path / "out/cases.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("join", [True, False])
def test_labels_are_united_on_their_own_grid(iterations, tmp_path, join):
    run(StableCasesConfig(iterations, join=join, output=tmp_path / "out"))
    for name in ("p1_T1WI", "p3_T2WI"):
        made = read_labelmap(tmp_path / f"out/{name}.nii.gz")
        maps = [read_labelmap(folder / f"{name}.nii.gz").array for folder in iterations]
        assert made.geometry.is_close(read_volume(tmp_path / f"{name[:2]}.nii.gz").geometry)
        expected = np.any(maps, axis=0) if join else maps[-1] > 0
        assert np.array_equal(made.array > 0, expected)
    assert read_labelmap(tmp_path / "out/p1_T1WI.nii.gz").array[8, 8, 12] == 3  # the latest word holds


def test_iterations_must_fit_together(iterations, tmp_path):
    with pytest.raises(UsageError, match="at least two iterations"):
        run(StableCasesConfig(iterations[:1], output=tmp_path / "out"))
    (iterations[0] / "p2_T2WI.nii.gz").unlink()
    with pytest.raises(InputError, match=r"p2_T2WI.nii.gz: not found"):
        run(StableCasesConfig(iterations, output=tmp_path / "out"))
    listed = read_datalist(iterations[0] / "datalist.json")
    write_datalist(Datalist("other", "none", {1: "spleen"}, listed.scans), iterations[0] / "datalist.json")
    with pytest.raises(UsageError, match="different organs"):
        run(StableCasesConfig(iterations, output=tmp_path / "out"))


def test_what_an_iteration_leaves_open_is_no_organ(iterations, tmp_path):
    for folder in iterations:
        listed = read_datalist(folder / "datalist.json")
        write_datalist(replace(listed, ignore=IGNORE), folder / "datalist.json")
    path = iterations[-1] / "p0_T1WI.nii.gz"
    last = read_labelmap(path)
    last.array[2:6, 2:8, 3:9] = IGNORE  # the liver that the iterations before found
    last.array[0, 0, 0] = IGNORE
    write_volume(last, path)
    run(StableCasesConfig(iterations, output=tmp_path / "out"))
    listed = read_datalist(tmp_path / "out/datalist.json")
    made = read_labelmap(tmp_path / "out/p0_T1WI.nii.gz").array
    assert listed.ignore == IGNORE
    assert (made[2:6, 2:8, 3:9] == 1).all()
    assert made[0, 0, 0] == IGNORE
    rows = {row["case"]: row for row in csv.DictReader((tmp_path / "out/cases.csv").open())}
    assert float(rows["p0_T1WI"]["change 2"]) == 1.0, "the other organ changed, all of what is known"


def test_files_of_other_inputs_are_made_anew(tmp_path):
    folder = tmp_path / "out"
    with claimed_output(folder, ["a", "b"]):
        (folder / "case.nii.gz").write_bytes(b"1")
    with claimed_output(folder, ["a", "b"]):
        assert (folder / "case.nii.gz").exists()
    with claimed_output(folder, ["a", "c"]):
        assert not (folder / "case.nii.gz").exists()
    own = tmp_path / "cohort"
    own.mkdir()
    (own / "patient.nii.gz").write_bytes(b"1")
    with (
        pytest.raises(OutputError, match=r"contains patient\.nii\.gz, which no stage made"),
        claimed_output(own, ["a"]),
    ):
        pass
    assert (own / "patient.nii.gz").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), claimed_output(tmp_path / "file" / "out", []):
        pass


def test_an_iteration_is_never_replaced(iterations):
    with pytest.raises(OutputError, match="which the output is made from"):
        run(StableCasesConfig(iterations, output=iterations[2]))


def test_images_are_never_replaced_by_labels(iterations, tmp_path):
    images = tmp_path / "cohort"
    images.mkdir()
    scans = read_datalist(iterations[0] / "datalist.json").scans
    moved = [replace(scan, image=images / f"{scan.patient}_{scan.sequence}.nii.gz") for scan in scans]
    lists = [read_datalist(folder / "datalist.json") for folder in iterations]
    for old, new in zip(scans, moved, strict=True):
        old.image.rename(new.image)
    for folder, listed in zip(iterations, lists, strict=True):
        write_datalist(replace(listed, scans=moved), folder / "datalist.json")
    before = {path: path.read_bytes() for path in images.iterdir()}
    with pytest.raises(OutputError, match="which the output is made from"):
        run(StableCasesConfig(iterations, output=images))
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_an_iteration_of_another_grid_is_named(iterations, tmp_path):
    path = iterations[0] / "p2_T2WI.nii.gz"
    labels = read_labelmap(path)
    write_volume(Volume(labels.array[1:], labels.geometry.cropped((0, 0, 1), (20, 16, 11))), path)
    with pytest.raises(InputError, match=r"p2_T2WI.nii.gz: is on another grid than .*round_2"):
        run(StableCasesConfig(iterations, output=tmp_path / "out"))
