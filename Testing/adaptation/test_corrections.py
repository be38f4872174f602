"""Which corrected masks are taken, which organs they have, what is held out; and how they are filled up."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.corrected_masks import rename, write_bare, write_cases, write_segments
from helpers.tiny_data import SHAPE, write_scan
from helpers.volumes import make_volume
from LiverMRISegLib.adaptation.check import agreement, check_held_out, means, unchanged, unlike
from LiverMRISegLib.adaptation.corrections import read_corrections, read_unlabelled
from LiverMRISegLib.adaptation.masks import filled_mask, given_mask
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.data.importers import OwnDataOptions
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.pseudo_labels.outputs import check_case_names
from LiverMRISegLib.volume import Geometry, Volume, reorient

OPTIONS = OwnDataOptions(usual_values={v: o.name for v, o in CHAOS.items()}, takes_results=True)
GRID = Geometry((SHAPE[2], SHAPE[1], SHAPE[0]), (4.0, 4.0, 8.0))


def read(folder, tmp_path, options=OPTIONS, learnt=()):
    return read_corrections(folder, CHAOS, options, tmp_path / "made", learnt)


def names(cases):
    return [case.scan.patient for case in cases]


def write_mask(path, array):
    write_volume(Volume(array.astype(np.uint8), GRID), path)
    return path


def test_masks_of_every_kind_are_taken_and_some_are_held_out(tmp_path):
    cases = write_cases(tmp_path / "cases", 5)
    image, mask = write_scan(cases, "q", "T2WI", 9)
    mask.unlink()
    write_segments(cases / "q_T2WI.seg.nrrd", image, (2, 8, 3, 13, 2, 11))
    write_mask(cases / "p0_T2WI_seg.nii.gz", np.ones(SHAPE))
    found = read(cases, tmp_path)
    assert names(found.held_out) == ["p0_T2WI", "p4_T2WI"]
    assert names(found.training) == ["p1_T2WI", "p2_T2WI", "p3_T2WI", "q_T2WI"]
    assert {case.organs for case in found.all} == {frozenset({1, 4})}
    assert [case.has_names for case in found.training] == [False, False, False, True]
    assert [(path.name, reason) for path, reason in found.ignored] == [
        ("p0_T2WI_seg.nii.gz", "its image has another mask")
    ]
    given = given_mask(found.training[-1])
    assert given.shape == SHAPE
    assert np.all(given[2:8, 3:13, 2:6] == 1)
    assert np.all(given[2:8, 3:13, 7:11] == 4)
    assert (given > 0).sum() == 6 * 10 * 8


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path):
    cases = write_cases(tmp_path / "cases", 3)
    write_bare(cases / "bare", 1)
    for name in ("empty", "grid", "values", "flat", "odd"):
        write_scan(cases, name, "T2WI", 7)[1].unlink()
    write_mask(cases / "empty_T2WI_seg.nii.gz", np.zeros(SHAPE))
    write_volume(
        Volume(np.ones((4, 5, 6), np.uint8), make_volume(size=(6, 5, 4)).geometry), cases / "grid_T2WI_seg.nrrd"
    )
    write_mask(cases / "values_T2WI_seg.nii.gz", np.full(SHAPE, 9))
    write_volume(Volume(np.full(SHAPE, np.nan, np.float32), GRID), cases / "flat_T2WI.nii.gz")
    write_mask(cases / "flat_T2WI_seg.nii.gz", np.ones(SHAPE))
    (cases / "odd_T2WI.seg.nrrd").write_bytes(b"NRRD0005\n")
    found = read(cases, tmp_path)
    assert not found.held_out
    assert names(found.training) == ["p0_T2WI", "p1_T2WI", "p2_T2WI"]
    assert [(path.name, reason) for path, reason in found.ignored] == [("u0_T2WI.nii.gz", "has no mask")]
    reasons = {path.name: reason for path, reason in found.bad}
    assert reasons["empty_T2WI.nii.gz"] == "its mask is empty"
    assert "is on another grid" in reasons["grid_T2WI.nii.gz"]
    assert "contains the value 9, which has no meaning" in reasons["values_T2WI.nii.gz"]
    assert "flat_T2WI.nii.gz" in reasons
    assert "odd_T2WI.seg.nrrd" in reasons
    assert len(reasons) == 5


def test_an_image_that_is_there_twice_is_not_learnt_from_and_held_out(tmp_path):
    cases = write_cases(tmp_path / "cases", 4)
    for kind in ("", "_label"):
        (cases / f"p0_T2WI (copy){kind}.nii.gz").write_bytes((cases / f"p0_T2WI{kind}.nii.gz").read_bytes())
    found = read(cases, tmp_path)
    assert names(found.all) == ["p1_T2WI", "p2_T2WI", "p3_T2WI", "p0_T2WI (copy)"]
    assert [(path.name, "is the same image as" in reason) for path, reason in found.bad] == [("p0_T2WI.nii.gz", True)]
    for kind in ("", "_label"):  # in another format it is the same image
        (cases / f"p0_T2WI (copy){kind}.nii.gz").unlink()
        write_volume(read_volume(cases / f"p2_T2WI{kind}.nii.gz", may_be_mask=True), cases / f"p4_T2WI{kind}.nrrd")
    assert [path.name for path, _ in read(cases, tmp_path).bad] == ["p4_T2WI.nrrd"]


def test_an_image_in_another_format_and_order_of_axes_is_the_same(tmp_path):
    cases, bare = write_cases(tmp_path / "cases", 4), write_bare(tmp_path / "bare", 1)
    image, mask = read_volume(cases / "p0_T2WI.nii.gz"), read_labelmap(cases / "p0_T2WI_label.nii.gz")
    write_volume(reorient(image, "RAS"), cases / "z_T2WI.nrrd")
    write_volume(reorient(mask, "RAS"), cases / "z_T2WI_label.nrrd")
    write_volume(image, bare / "y_T2WI.mha")
    found = read(cases, tmp_path)
    assert names(found.all) == ["p1_T2WI", "p2_T2WI", "p3_T2WI", "p0_T2WI"]
    assert [path.name for path, _ in found.bad] == ["z_T2WI.nrrd"]
    assert [scan.image.name for scan in read_unlabelled(bare, OPTIONS, found, cases).scans] == ["u0_T2WI.nii.gz"]


def test_patients_that_the_model_knows_do_not_judge_it(tmp_path):
    cases = write_cases(tmp_path / "cases", 6)
    of = {case.scan.patient: case.content for case in read(cases, tmp_path).all}
    some = read(cases, tmp_path, learnt=[of["p0_T2WI"], of["p4_T2WI"]])
    assert (names(some.held_out), some.known) == (["p1_T2WI"], {"p0_T2WI", "p4_T2WI"})
    assert names(read(cases, tmp_path, learnt=[of[f"p{n}_T2WI"] for n in range(3)]).held_out) == []
    table = tmp_path / "cases.csv"
    table.write_text("case,patient\np1_T2WI,one\np2_T2WI,one\n")
    options = replace(OPTIONS, table=table)
    assert read(cases, tmp_path, options, [of["p1_T2WI"]]).known == {"one"}, "a patient's other volume too"


def test_volumes_on_the_very_same_grid_may_be_of_one_patient(tmp_path):
    cases = write_cases(tmp_path / "cases", 4)
    assert read(cases, tmp_path).on_one_grid() is None, "all begin at 0"
    for name, place in (("p0_T2WI", 7.0), ("p2_T2WI", 7.0), ("p3_T2WI", 8.0)):
        for path in cases.glob(f"{name}*"):
            volume = read_volume(path, may_be_mask=True)
            moved = replace(volume.geometry, origin=(place, -90.0, 12.0))
            write_volume(replace(volume, geometry=moved), path)
    found = read(cases, tmp_path)
    assert names(found.on_one_grid()) == ["p0_T2WI", "p2_T2WI"]
    table = tmp_path / "cases.csv"
    table.write_text("case,patient\np0_T2WI,one\np2_T2WI,one\n")
    options = replace(OPTIONS, table=table)
    assert read(cases, tmp_path, options).on_one_grid() is None


def test_a_segmentation_that_slicer_named_is_of_its_volume(tmp_path):
    cases = write_cases(tmp_path / "cases", 3)
    for name, saved in (("p0", "p0_T2WI organs"), ("p1", "p1_T2WI organs_1"), ("p2", "p2_T2WI Segmentation")):
        next(path for path in cases.glob(f"{name}_T2WI_*")).unlink()
        write_segments(cases / f"{saved}.seg.nrrd", cases / f"{name}_T2WI.nii.gz", (2, 8, 3, 13, 2, 11))
    write_scan(cases, "all organs", "T2WI", 7)[1].unlink()
    (cases / "all organs_T2WI.nii.gz").rename(cases / "T2WI organs.nii.gz")
    write_segments(cases / "T2WI organs.seg.nrrd", cases / "T2WI organs.nii.gz", (2, 8, 3, 13, 2, 11))
    found = read(cases, tmp_path)
    assert sorted(names(found.all)) == ["T2WI organs", "p0_T2WI", "p1_T2WI", "p2_T2WI"]
    assert not found.bad


def test_a_table_says_who_is_held_out(tmp_path):
    cases = write_cases(tmp_path / "cases", 2)
    table = tmp_path / "cases.csv"
    table.write_text("case,split\np1_T2WI,test\n")
    options = OwnDataOptions(table=table, usual_values=OPTIONS.usual_values, takes_results=True)
    assert names(read(cases, tmp_path, options).held_out) == ["p1_T2WI"]
    table.write_text("case,split\np0_T2WI,test\np1_T2WI,validation\n")
    with pytest.raises(UsageError, match="no case of split 'train'"):
        read(cases, tmp_path, options)


def test_a_folder_of_no_use_is_refused_in_one_line(tmp_path):
    bare = write_bare(tmp_path / "bare", 1)
    with pytest.raises(InputError, match=r"bare: contains no mask; save it as NAME_label"):
        read(bare, tmp_path)
    write_mask(bare / "u0_T2WI_seg.nii.gz", np.zeros(SHAPE))
    with pytest.raises(InputError, match=r"u0_T2WI\.nii\.gz: its mask is empty; no case of"):
        read(bare, tmp_path)
    (bare / "labels.json").write_text('{"1": "pancreas"}')
    write_mask(bare / "u0_T2WI_seg.nii.gz", np.ones(SHAPE))
    with pytest.raises(InputError, match=r"u0_T2WI\.nii\.gz: its mask has an organ that the model lacks .*'pancreas'"):
        read(bare, tmp_path)


def test_an_organ_by_another_name_is_learnt_from_by_its_terminology(tmp_path, caplog):
    """What its name and its terminology call differently is left out: nobody knows which is right."""
    cases = write_cases(tmp_path / "cases", 1)
    called = {"a": {"Liver": "Leber", "Spleen": "Segment_2"}, "b": {"Liver": "Spleen", "Spleen": "Milz"}}
    for name in called:
        image, mask = write_scan(cases, name, "T2WI", 8)
        mask.unlink()
        write_segments(cases / f"{name}_T2WI.seg.nrrd", image, (2, 8, 3, 13, 2, 11))
        rename(cases / f"{name}_T2WI.seg.nrrd", **called[name])
    with caplog.at_level("WARNING", "LiverMRISegLib"):
        found = read(cases, tmp_path)
    assert names(found.training) == ["a_T2WI", "p0_T2WI"]
    given = given_mask(found.training[0])
    assert (given[2:8, 3:13, 2:6] == 1).all()
    assert (given[2:8, 3:13, 7:11] == 4).all()
    assert "a_T2WI.seg.nrrd: takes 'Segment_2' for spleen, 'Leber' for liver, as the terminology" in caplog.text
    ((path, reason),) = found.bad
    assert path.name == "b_T2WI.seg.nrrd"
    assert "its segment 'Spleen' is called so, but is liver by its terminology; let both say the same" in reason


def test_unlabelled_volumes_are_others_than_the_corrected(tmp_path):
    cases, bare = write_cases(tmp_path / "cases", 1), write_bare(tmp_path / "bare", 2)
    found = read(cases, tmp_path)
    (bare / "again_T2WI.nii.gz").write_bytes((cases / "p0_T2WI.nii.gz").read_bytes())
    write_mask(bare / "u1_T2WI_seg.nii.gz", np.ones(SHAPE))
    others = read_unlabelled(bare, OPTIONS, found, cases)
    told = [(scan.image.name, scan.labels) for scan in others.scans]
    assert told == [("u0_T2WI.nii.gz", None), ("u1_T2WI.nii.gz", None)]
    assert len(set(others.contents)) == 2
    assert not others.bad
    with pytest.raises(InputError, match="all its volumes are among the corrected ones"):
        read_unlabelled(cases, OPTIONS, found, cases)


def test_other_volumes_of_patients_who_are_held_out_are_not_learnt_from(tmp_path):
    cases = write_bare(write_cases(tmp_path / "cases", 2), 2)
    (cases / "u1_T2WI.nii.gz").rename(cases / "late.nii.gz")
    table = tmp_path / "cases.csv"
    rows = ("p0_T2WI,one,,test", "u0_T2WI,one,,", "late,two,T1WI,")
    table.write_text("\n".join(("case,patient,sequence,split", *rows)))
    options = replace(OPTIONS, table=table)
    found = read(cases, tmp_path, options)
    others = read_unlabelled(cases, options, found, cases)
    assert [(scan.image.name, scan.sequence) for scan in others.scans] == [("late.nii.gz", "T1WI")]
    assert [path.name for path, _ in others.ignored] == ["u0_T2WI.nii.gz"]


def test_a_volume_without_mask_may_be_called_as_a_corrected_one(tmp_path):
    cases, bare = write_cases(tmp_path / "cases", 1), write_bare(tmp_path / "bare", 1)
    (bare / "u0_T2WI.nii.gz").rename(bare / "p0_T2WI.nii.gz")
    found = read(cases, tmp_path)
    (scan,) = read_unlabelled(bare, OPTIONS, found, cases).scans
    check_case_names([*(case.scan for case in found.all), scan])


def test_what_the_user_says_of_the_values_goes_before_the_folders_file(tmp_path):
    cases = write_cases(tmp_path / "cases", 1)
    (cases / "labels.json").write_text('{"1": "spleen", "4": "liver"}')
    assert read(cases, tmp_path).training[0].values == {1: 4, 4: 1}
    options = replace(OPTIONS, values=OPTIONS.usual_values)
    assert read(cases, tmp_path, options).training[0].values == {1: 1, 4: 4}


def test_a_mask_is_filled_with_the_other_organs_of_the_model(tmp_path):
    cases = write_cases(tmp_path / "cases", 1)
    liver = np.zeros(SHAPE)
    liver[2:6] = 1
    write_mask(cases / "p0_T2WI_label.nii.gz", liver)
    (case,) = read(cases, tmp_path).training
    own = np.zeros(SHAPE)
    own[4:8] = 4  # the corrected liver wins
    own[9] = 1  # a liver where the corrected mask has none
    filled = filled_mask(case, write_mask(tmp_path / "own.nii.gz", own))
    assert [int(plane.max()) for plane in filled] == [0, 0, 1, 1, 1, 1, 4, 4, 0, 0]


def test_a_mask_with_other_axes_is_taken_where_it_is_in_the_patient(tmp_path):
    cases = write_cases(tmp_path / "cases", 1)
    liver = np.zeros(SHAPE)
    liver[2:6, 3, 4:7] = 1
    path = write_mask(cases / "p0_T2WI_label.nii.gz", liver)
    write_volume(reorient(read_labelmap(path), "SRA"), path)
    (case,) = read(cases, tmp_path).training
    assert np.array_equal(given_mask(case) > 0, liver > 0)
    assert not case.has_names


def test_masks_of_another_volume_or_with_exchanged_values_are_unlike(tmp_path):
    cases = write_cases(tmp_path / "cases", 1)
    (case,) = read(cases, tmp_path).training
    truth, image = given_mask(case), case.scan.image
    assert unlike([case], {image: write_mask(tmp_path / "same.nii.gz", truth + 2 * (truth == 0))}) == []
    exchanged = np.array([0, 4, 0, 0, 1])[truth]
    assert unlike([case], {image: write_mask(tmp_path / "exchanged.nii.gz", exchanged)}) == [(case, 0.0)]
    moved = np.roll(truth, SHAPE[2] // 3, axis=2)
    ((_, dice),) = unlike([case], {image: write_mask(tmp_path / "moved.nii.gz", moved)})
    assert 0 < dice < 0.6


def test_the_check_counts_corrected_organs_alone(tmp_path):
    cases = write_cases(tmp_path / "cases", 4)
    (case,) = read(cases, tmp_path).held_out
    truth, image = given_mask(case), case.scan.image
    before = {image: write_mask(tmp_path / "before.nii.gz", np.where(truth == 1, 1, 2))}
    after = {image: write_mask(tmp_path / "after.nii.gz", truth)}
    checks = check_held_out([case], before, after, CHAOS)
    assert [(check.organ, check.cases, check.before, check.after) for check in checks] == [
        ("liver", 1, 1.0, 1.0), ("spleen", 1, 0.0, 1.0),
    ]  # fmt: skip
    assert means(checks) == (0.5, 1.0)
    assert unchanged([case], before) == []
    assert unchanged([case], {image: write_mask(tmp_path / "own.nii.gz", truth + 2 * (truth == 0))}) == [case]
    assert agreement([case.scan], before, after, CHAOS) == {"liver": 1.0, "right kidney": 0.0, "spleen": 0.0}
    assert read_volume(image).array.shape == SHAPE
