"""A user's own data as a folder: labels beside the volumes, apart from them, or as Slicer saves them."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.corrected_masks import write_segments
from helpers.own_data import image, labels
from LiverMRISegLib.data.importers import OwnDataOptions, import_folder
from LiverMRISegLib.data.importers.summary import check_scans, in_one_line, summary_text
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.volume import Volume

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


def test_volumes_of_one_name_do_not_exchange_their_masks(tmp_path):
    source = tmp_path / "slicer"
    image(source / "T2/p1.nrrd")
    labels(source / "T2/p1.seg.nrrd", 1, 2)
    write_segments(source / "T2_p1.seg.nrrd", image(source / "T2_p1.nrrd"), (2, 6, 3, 9, 1, 11))
    found = import_folder(source, tmp_path / "made", NO_OPTIONS)
    (scan,) = found.datalist.scans
    assert scan.image == source / "T2/p1.nrrd"
    assert np.array_equal(read_labelmap(scan.labels).array, read_labelmap(source / "T2/p1.seg.nrrd").array)
    assert [path for path, reason in found.left_out if "is called T2_p1 too" in reason] == [source / "T2_p1.nrrd"]


def test_what_an_import_made_is_not_found_by_the_next(tmp_path):
    image(tmp_path / "p1_T2.nrrd")
    labels(tmp_path / "p1_T2.seg.nrrd", 1, 2)
    options = OwnDataOptions(made=tmp_path / "run")
    for _ in range(2):
        found = import_folder(tmp_path, tmp_path / "run/given", options)
        assert [scan.image.name for scan in found.datalist.scans] == ["p1_T2.nrrd"]
        assert (found.left_out, found.datalist.scans[0].labels.parent) == ((), tmp_path / "run/given")


@pytest.mark.parametrize("kind", [np.uint32, np.float32])
def test_an_image_in_the_place_of_a_label_map_is_left_out_however_large_its_values(tmp_path, kind):
    image(tmp_path / "p1.nrrd")
    path = labels(tmp_path / "p1_label.nrrd", 1)
    mask = read_labelmap(path)
    array = mask.array.astype(kind)
    array[0, 0, 0] = 2**31 - 128
    write_volume(Volume(array, mask.geometry), path)
    found = import_folder(tmp_path, tmp_path / "made", OwnDataOptions("T2WI", {1: "liver"}))
    _, refused = check_scans(found.datalist, tmp_path / "made")
    assert [reason for _, reason in refused] == ["its label map contains the value 2147483520, which has no meaning"]


def test_a_reason_that_names_its_file_does_not_name_it_twice(tmp_path):
    path = tmp_path / "p1.nii.gz"
    assert in_one_line(path, f"{path}: is empty\nand odd") == f"{path}: is empty and odd"
    assert in_one_line(path, "is empty") == f"{path}: is empty"


def test_one_image_of_two_patients_is_told_and_of_one_patient_is_not(tmp_path):
    source = tmp_path / "cohort"
    image(source / "p1.nrrd")
    write_volume(read_volume(source / "p1.nrrd"), source / "p2.nii.gz")
    found = import_folder(source, tmp_path / "made", OwnDataOptions("T2WI"))
    checked, refused = check_scans(found.datalist)
    said = f"one image of two patients: {source / 'p1.nrrd'} and {source / 'p2.nii.gz'}; remove one"
    assert said in summary_text(found.datalist, checked, refused)
    same = [replace(each, scan=replace(each.scan, patient="p")) for each in checked]
    assert "two patients" not in summary_text(found.datalist, same, refused)
