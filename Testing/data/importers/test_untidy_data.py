"""A user's own data as it really comes: files of Windows, names of many kinds, label maps that nobody expects."""

import json
import unicodedata

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.own_data import image, labels
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name, read_datalist, write_datalist
from LiverMRISegLib.data.importers import (
    OwnDataOptions,
    import_bids,
    import_decathlon,
    import_folder,
    import_nnunet,
)
from LiverMRISegLib.data.importers.own_data import read_table
from LiverMRISegLib.data.importers.summary import check_scans, summary_text
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.pseudo_labels.outputs import check_case_names
from LiverMRISegLib.volume import Volume, reorient

T2 = OwnDataOptions(sequence="T2WI")
NAMED = OwnDataOptions("T2WI", {1: "liver", 2: "spleen"})
MARK = b"\xef\xbb\xbf"  # the byte order mark


def windows_json(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False).replace("\n", "\r\n")
    path.write_bytes(MARK + text.encode())
    return path


def reasons(found):
    return {path.name: reason for path, reason in found.left_out}


def test_files_of_windows_with_spaces_and_umlauts(tmp_path):
    source = tmp_path / "meine Fälle"
    image(source / "imagesTr/Müller A_0000.nii.gz")
    labels(source / "labelsTr/Müller A.nii.gz", 1, 2)
    document = {"channel_names": {"0": "T2"}, "labels": {"background": 0, "liver": 1, "spleen": 2}}
    windows_json(source / "dataset.json", document)
    table = tmp_path / "cases.csv"
    apart = unicodedata.normalize("NFD", "Müller A")  # as macOS writes it
    table.write_bytes(MARK + f"Case;Patient;Vendor;\r\n{apart};P1/2024;Siemens;\r\n;;;\r\n;;;\r\n".encode())
    found = import_nnunet(source, tmp_path, OwnDataOptions(table=table)).datalist
    (scan,) = found.scans
    assert (scan.patient, scan.vendor, scan.labels.name) == ("P1/2024", "Siemens", "Müller A.nii.gz")
    write_datalist(found, tmp_path / "list.json")
    (tmp_path / "list.json").write_bytes(MARK + (tmp_path / "list.json").read_bytes())
    assert read_datalist(tmp_path / "list.json").scans == [scan]
    assert case_name(scan) == "P1_2024_T2WI"  # it is the name of a file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"case,patient\r\na,p,x,y\r\n", "the row 'a' has 4 cells for 2 columns"),
        (b"case,patient\n,p\n", "the row , p names no case"),
        ("case\nMüller\n".encode("cp1252"), "cannot be read as a table .* save it as CSV in UTF-8"),
        (b"", "has no column 'case'"),
    ],
)
def test_a_table_that_cannot_be_read_is_said(tmp_path, text, message):
    path = tmp_path / "cases.csv"
    path.write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_a_table_may_be_separated_by_tabs(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text("case\tpatient\na\tp, q\n")
    assert read_table(path) == {"a": {"patient": "p, q"}}


def test_label_maps_of_nnunet_that_no_image_has_are_named_and_options_say_what_labels_mean(tmp_path):
    image(tmp_path / "imagesTr/a_0000.nii.gz")
    image(tmp_path / "imagesTr/a_0001.nii.gz")
    labels(tmp_path / "labelsTr/a.nii", 1)
    windows_json(tmp_path / "dataset.json", {"channel_names": {"0": "T2"}, "labels": {"background": 0, "liver": 1}})
    found = import_nnunet(tmp_path, tmp_path, OwnDataOptions(values={1: "spleen"}))
    assert found.datalist.values == {1: "spleen"}
    assert found.datalist.scans[0].labels is None
    assert reasons(found)["a.nii"] == "no image has its name; a label map is called CASE.nii.gz"
    assert "does not end with _0000.nii.gz" in reasons(found)["a_0001.nii.gz"]


def test_the_names_of_segments_hold_beside_label_maps_whose_values_are_known(tmp_path):
    source = tmp_path / "cohort"
    image(source / "p1.nii.gz")
    image(source / "p2.nrrd")
    labels(source / "p1_label.nii.gz", 1, 2)
    labels(source / "p2.seg.nrrd", 7, 1)  # the liver is 7, the spleen 1
    windows_json(source / "labels.json", {"1": "Liver", "2": "spleen"})
    found = import_folder(source, tmp_path / "made", T2).datalist
    assert found.values == {1: "Liver", 2: "spleen"}
    arrays = [read_labelmap(scan.labels).array for scan in found.scans]
    assert np.array_equal(*arrays)


def test_the_only_label_map_beside_the_only_image_of_a_folder_may_be_called_anything_usual(tmp_path):
    source = tmp_path / "cohort"
    for patient, name in (("p1", "label.nii.gz"), ("p2", "mask.nrrd"), ("p3", "Segmentation.seg.nrrd")):
        image(source / patient / "T2.nii.gz")
        labels(source / patient / name, 1, 2)
    for name in ("T1", "T2"):
        image(source / "p4" / f"{name}.nii.gz")
    labels(source / "p4/label.nii.gz", 1)
    found = import_folder(source, tmp_path / "made", NAMED)
    assert [scan.labels is not None for scan in found.datalist.scans] == [True, True, True, False, False]
    assert reasons(found) == {"label.nii.gz": "no image has its name"}
    for name in ("a", "b"):
        image(tmp_path / f"singular/image/{name}.nii.gz")
        labels(tmp_path / f"singular/label/{name}.nii.gz", 1)
    assert all(scan.labels for scan in import_folder(tmp_path / "singular", tmp_path, NAMED).datalist.scans)


def test_two_images_of_one_name_and_two_label_maps_of_one_image_are_named(tmp_path):
    image(tmp_path / "p1.nii.gz")
    image(tmp_path / "p1.nrrd")
    labels(tmp_path / "p1_label.nii.gz", 1)
    labels(tmp_path / "p1.seg.nrrd", 1, 2)
    labels(tmp_path / "p1_gt.nii.gz", 1, 2)
    found = import_folder(tmp_path, tmp_path / "made", NAMED)
    assert found.datalist.scans[0].labels.name == "p1_label.nii.gz"
    assert "is called p1 too; rename one of them" in reasons(found)["p1.nrrd"]
    assert reasons(found)["p1.seg.nrrd"] == "its image has another mask"
    labels(tmp_path / "one/label.nii.gz", 1)
    labels(tmp_path / "one/P1_label.nii.gz", 1)
    image(tmp_path / "one/P1.nii.gz")
    assert reasons(import_folder(tmp_path / "one", tmp_path, NAMED)) == {"label.nii.gz": "its image has another mask"}
    _, refused = check_scans(found.datalist, tmp_path / "made")
    assert [path.name for path, reason in refused if "is a label map by its values" in reason] == ["p1_gt.nii.gz"]


def test_frames_and_dicom_series_have_a_remedy_that_helps_here(tmp_path):
    path = tmp_path / "p1.nii.gz"
    frame = sitk.ReadImage(str(image(path)))
    sitk.WriteImage(sitk.JoinSeries(frame, frame), str(path))
    _, refused = check_scans(import_folder(tmp_path, tmp_path, T2).datalist, tmp_path / "made")
    assert refused == [(path, f"{path}: has 2 frames; save the one that is meant as a file")]
    (tmp_path / "series").mkdir()
    (tmp_path / "series/IM0001.dcm").write_bytes(b"")
    with pytest.raises(InputError, match="save DICOM series in one of these formats first"):
        import_folder(tmp_path / "series", tmp_path, T2)


def test_lists_of_monai_and_of_windows(tmp_path):
    for patient in ("p1", "p2"):
        image(tmp_path / patient / "t2.nii.gz")
        labels(tmp_path / patient / "seg.nii.gz", 1)
    entries = [
        {"fold": 0, "image": ["p1\\t2.nii.gz"], "label": ["p1\\seg.nii.gz"]},
        {"fold": 1, "image": "./p2/t2.nii.gz", "label": "./p2/seg.nii.gz"},
    ]
    path = windows_json(tmp_path / "list.json", {"training": entries})
    scans = import_decathlon(path, tmp_path, NAMED).datalist.scans
    assert [(scan.patient, scan.labels.name) for scan in scans] == [("p1_t2", "seg.nii.gz"), ("p2_t2", "seg.nii.gz")]
    windows_json(path, {"training": [{"image": "p1/t2.nii.gz", "label": ["a", "b"]}]})
    with pytest.raises(InputError, match="are the label maps of one case"):
        import_decathlon(path, tmp_path, NAMED)


def test_segments_that_are_called_otherwise_than_the_list_says_are_refused(tmp_path):
    for name, values in (("p1", (1, 2)), ("p2", (2, 1))):  # of liver and spleen
        image(tmp_path / f"{name}.nii.gz")
        labels(tmp_path / f"{name}.seg.nrrd", *values)
    entries = [{"image": f"{name}.nii.gz", "label": f"{name}.seg.nrrd"} for name in ("p1", "p2")]
    found = import_decathlon(windows_json(tmp_path / "list.json", {"training": entries}), tmp_path, NAMED).datalist
    checked, refused = check_scans(found)
    assert [each.scan.patient for each in checked] == ["p1"]
    assert "p2.seg.nrrd: its value 1 is called Spleen, and liver in the data set" in refused[0][1]


def test_sessions_of_bids_are_told_apart_and_masks_have_further_entities(tmp_path):
    source = tmp_path / "study"
    derivative = source / "derivatives/manual masks"
    for session in ("1", "2"):
        image(source / f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T2w.nii.gz")
    image(source / "sub-02/anat/sub-02_T2w.nii")
    image(source / "sub-02/anat/sub-02_acq-fs_T2w.nii")
    labels(derivative / "sub-01/ses-2/anat/sub-01_ses-2_label-liver_desc-hand_mask.nii.gz", 1)
    labels(derivative / "sub-02/anat/sub-02_desc-hand_dseg.nii.gz", 1, 2)
    labels(derivative / "sub-03/anat/sub-03_label-liver_mask.nii.gz", 1)
    table = derivative / "desc-hand_dseg.tsv"
    table.write_bytes(MARK + b"index\tname\r\n0\tbackground\r\n1\tkidney_right\r\n2\tspleen\r\n")
    found = import_bids(source, tmp_path / "made", OwnDataOptions())
    assert found.datalist.values == {1: "kidney_right", 2: "spleen", 3: "liver"}
    assert [(scan.series, scan.labels is not None) for scan in found.datalist.scans] == [
        ("ses-1_T2w", False), ("ses-2_T2w", True), ("T2w", True), ("acq-fs_T2w", False),
    ]  # fmt: skip
    check_case_names(found.datalist.scans)
    assert np.unique(read_labelmap(found.datalist.scans[1].labels).array).tolist() == [0, 3]
    assert reasons(found) == {"sub-03_label-liver_mask.nii.gz": "fits no image by its name"}


def test_a_name_of_a_case_is_the_name_of_a_file(tmp_path):
    assert case_name(Scan("a/b:c\\d", "T2WI", tmp_path, series="1<2")) == "a_b_c_d_T2WI_1_2"


@pytest.mark.parametrize("code", ["RAS", "SRA"])
def test_a_label_map_with_other_axes_is_turned_to_its_image(tmp_path, code):
    image(tmp_path / "in/a.nii.gz")
    straight = read_labelmap(labels(tmp_path / "in/a_label.nii.gz", 1, 2))
    write_volume(reorient(straight, code), tmp_path / "in/a_label.nii.gz")
    found = import_folder(tmp_path / "in", tmp_path / "made", NAMED).datalist
    assert "is on another grid" in check_scans(found)[1][0][1], "there is no folder to write it to"
    (case,), refused = check_scans(found, tmp_path / "made")
    assert (refused, case.is_turned) == ([], True)
    written = read_labelmap(case.scan.labels)
    assert written.geometry.is_close(straight.geometry)
    assert np.array_equal(written.array, straight.array)
    assert "turned to the axes of the image: 1 label map" in summary_text(found, [case], [])


def test_turned_label_maps_of_one_name_stay_apart(tmp_path):
    scans = []
    for number in (1, 2):
        folder = tmp_path / f"in{number}"
        image(folder / "a.nii.gz")
        straight = read_labelmap(labels(folder / "a_label.nii.gz", number))
        write_volume(reorient(straight, "RAS"), folder / "a_label.nii.gz")
        scans += import_folder(folder, tmp_path / "made", NAMED).datalist.scans
    checked, _ = check_scans(Datalist("both", "", {1: "liver", 2: "spleen"}, scans), tmp_path / "made")
    assert [int(read_labelmap(each.scan.labels).array.max()) for each in checked] == [1, 2]


def test_masks_of_bids_with_other_axes_are_joined_where_they_are(tmp_path):
    folder = tmp_path / "in/derivatives/manual/sub-1/anat"
    image(tmp_path / "in/sub-1/anat/sub-1_T2w.nii.gz")
    liver = read_labelmap(labels(folder / "sub-1_T2w_label-liver_mask.nii.gz", 1))
    array = np.zeros_like(liver.array)
    array[1, 8, 10] = 1
    write_volume(reorient(Volume(array, liver.geometry), "RAS"), folder / "sub-1_T2w_label-spleen_mask.nii.gz")
    (scan,) = import_bids(tmp_path / "in", tmp_path / "made", T2).datalist.scans
    joined = read_labelmap(scan.labels).array
    assert np.array_equal(joined > 0, (liver.array > 0) | (array > 0))
    assert joined[1, 8, 10] != joined[2, 2, 2]
    labels(folder / "sub-1_T2w_label-liver_desc-second_mask.nii.gz", 1)
    with pytest.raises(InputError, match=r"mask\.nii\.gz: is the liver of sub-1_T2w, and so is .*; keep one of them"):
        import_bids(tmp_path / "in", tmp_path / "made", T2)
