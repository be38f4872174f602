"""A user's own data as a folder: labels beside the volumes, apart from them, or as Slicer saves them."""

import numpy as np
import pytest

from helpers.corrected_masks import write_segments
from helpers.own_data import image, labels
from LiverMRISegLib.data.importers import OwnDataOptions, import_folder
from LiverMRISegLib.data.importers.summary import check_scans, in_one_line
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap

NO_OPTIONS = OwnDataOptions()
T2 = OwnDataOptions(sequence="T2WI")


def test_a_folder_with_labels_in_its_three_ways(tmp_path):
    beside = tmp_path / "beside"
    image(beside / "p1_T2.nii.gz")
    labels(beside / "p1_T2_label.nii.gz", 1)
    labels(beside / "p1_T2_seg.nii.gz", 1)
    labels(beside / "nobody_label.nii.gz", 1)
    with pytest.raises(InputError, match=r"nothing says what its values mean; put labels\.json"):
        import_folder(beside, tmp_path, NO_OPTIONS)
    (beside / "labels.json").write_text('{"1": "liver"}')
    found = import_folder(beside, tmp_path, NO_OPTIONS)
    assert [(s.patient, s.sequence, s.labels.name) for s in found.datalist.scans] == [
        ("p1_T2", "T2WI", "p1_T2_label.nii.gz")
    ]
    reasons = {path.name: reason for path, reason in found.left_out}
    assert "no image has its name" in reasons["nobody_label.nii.gz"]
    assert "a model made it" in reasons["p1_T2_seg.nii.gz"]

    apart = tmp_path / "apart"
    image(apart / "images/p1.nii.gz")
    image(apart / "images/p2.nii.gz")
    labels(apart / "labels/p1.nii.gz", 5)
    (apart / "labels/p2.nii.gz").symlink_to("../.git/annex/objects/p2.nii.gz")
    found = import_folder(apart, tmp_path, OwnDataOptions("T1WI", {5: "spleen"}))
    assert ["fetch it first" in reason for _, reason in found.left_out] == [True]
    found = found.datalist
    assert [s.labels is not None for s in found.scans] == [True, False]
    assert found.values == {5: "spleen"}

    slicer = tmp_path / "slicer"
    for name, values in (("p1", (1, 2)), ("p2", (4, 3))):  # the same names under other values
        image(slicer / f"{name}.nrrd")
        labels(slicer / f"{name}.seg.nrrd", *values)
    found = import_folder(slicer, tmp_path / "made", T2).datalist
    assert found.values == {1: "liver", 2: "spleen"}
    arrays = [read_labelmap(scan.labels).array for scan in found.scans]
    assert np.array_equal(*arrays)
    assert set(np.unique(arrays[0])) == {0, 1, 2}


def test_a_segmentation_of_slicer_is_on_a_part_of_the_grid_and_one_that_cannot_be_read_is_left_out(tmp_path):
    source = tmp_path / "slicer"
    whole, odd = image(source / "p1.nrrd"), image(source / "p2.nrrd")
    write_segments(source / "p1.seg.nrrd", whole, (2, 6, 3, 9, 1, 11))
    (source / "p2.seg.nrrd").write_bytes(odd.read_bytes()[:100])
    found = import_folder(source, tmp_path / "made", T2)
    (scan,) = found.datalist.scans
    array = read_labelmap(scan.labels).array
    assert array.shape == (8, 10, 12)
    assert [array[z, y, x] for z, y, x in ((2, 3, 1), (5, 8, 4), (2, 3, 6), (5, 8, 10))] == [1, 1, 2, 2]
    assert (array > 0).sum() == 4 * 6 * 9
    assert [path.name for path, _ in found.left_out] == ["p2.seg.nrrd"]
    checked, refused = check_scans(found.datalist, tmp_path / "made")
    assert (len(checked), refused) == (1, [])


def test_a_reason_that_names_its_file_does_not_name_it_twice(tmp_path):
    path = tmp_path / "p1.nii.gz"
    assert in_one_line(path, f"{path}: is empty\nand odd") == f"{path}: is empty and odd"
    assert in_one_line(path, "is empty") == f"{path}: is empty"
