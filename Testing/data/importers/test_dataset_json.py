"""dataset.json as nnU-Net, the Medical Segmentation Decathlon and MONAI write it: paths, regions, values to ignore."""

import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.own_data import described, image, labels
from helpers.places import ROOT
from LiverMRISegLib.data.datalist import read_datalist
from LiverMRISegLib.data.importers import OwnDataOptions, import_decathlon, import_folder, import_nnunet
from LiverMRISegLib.data.importers.summary import check_scans
from LiverMRISegLib.errors import InputError

NO_OPTIONS = OwnDataOptions()


def rows(found):
    return [(s.patient, s.split, s.image.name, s.labels.name if s.labels else "") for s in found.datalist.scans]


def reasons(found):
    return [(path.name, reason) for path, reason in found.left_out]


@pytest.fixture
def cohort(tmp_path):
    """Images and label maps that are not called as nnU-Net does."""
    for name in ("a", "b", "c"):
        image(tmp_path / f"cohort/{name}/t2.mha")
        labels(tmp_path / f"cohort/{name}/liver.nrrd", 1, 2)
    return tmp_path / "cohort"


@pytest.fixture
def decathlon(tmp_path):
    """A function that writes a decathlon of two cases; the changes are those of its dataset.json."""
    source = tmp_path / "Task99_Mine"
    for name in ("a", "b"):
        image(source / f"imagesTr/{name}.nii.gz")
        labels(source / f"labelsTr/{name}.nii.gz", 1)

    def write(**changes):
        document = {
            "name": "Mine",
            "licence": "CC-BY-SA 4.0",
            "modality": {"0": "T2"},
            "labels": {"0": "background", "1": "liver"},
            "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "ab"],
            **changes,
        }
        (source / "dataset.json").write_text(json.dumps(document))
        return source

    return write


def test_the_paths_of_nnunet_may_be_relative_absolute_or_begin_with_a_variable(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("COHORT_OF_TEST", str(cohort))
    cases = {
        "one": {"images": ["../cohort/a/t2.mha"], "label": "../cohort/a/liver.nrrd"},
        "two": {"images": [str(cohort / "b/t2.mha")], "label": "${COHORT_OF_TEST}/b/liver.nrrd"},
        "three": {"images": ["$COHORT_OF_TEST/c/t2.mha"]},
    }
    source = described(tmp_path / "Dataset002_Paths", dataset=cases, overwrite_image_reader_writer="NibabelIO")
    image(source / "imagesTs/z_0000.nii.gz")
    found = import_nnunet(source, tmp_path, NO_OPTIONS)
    assert rows(found) == [
        ("one", "train", "t2.mha", "liver.nrrd"),
        ("two", "train", "t2.mha", "liver.nrrd"),
        ("three", "train", "t2.mha", ""),
        ("z", "test", "z_0000.nii.gz", ""),
    ]
    assert found.datalist.values == {1: "liver", 2: "tumour"}
    assert reasons(found) == []
    checked, refused = check_scans(found.datalist)
    assert (len(checked), refused) == (4, [])


def test_listed_cases_whose_files_are_missing_are_left_out_and_unlisted_files_are_named(cohort, tmp_path, monkeypatch):
    monkeypatch.delenv("NOT_SET_IN_TEST", raising=False)
    source = tmp_path / "Dataset003_Gaps"
    for number in (1, 2):
        image(source / f"imagesTr/x{number}_0000.nii.gz")
    image(source / "imagesTs/z_0000.nii.gz")
    (source / "labelsTr").mkdir()
    (source / "labelsTr/x2.nii.gz").symlink_to("nowhere")
    cases = {
        "one": {"images": ["../cohort/a/t2.mha"], "label": "../cohort/a/liver.nrrd"},
        "again": {"images": ["../cohort/a/t2.mha"], "label": "../cohort/b/liver.nrrd"},
        "trained on": {"images": ["imagesTs/z_0000.nii.gz"], "label": None},
        "gone": {"images": ["gone.nii.gz"], "label": "../cohort/a/liver.nrrd"},
        "unlabelled": {"images": ["../cohort/b/t2.mha"], "label": "$NOT_SET_IN_TEST/b.nrrd"},
        "linked": {"images": ["imagesTr/x1_0000.nii.gz"], "label": "labelsTr/x2.nii.gz"},
    }
    described(source, dataset=cases)
    found = import_nnunet(source, tmp_path, NO_OPTIONS)
    assert rows(found) == [("one", "train", "t2.mha", "liver.nrrd"), ("trained on", "train", "z_0000.nii.gz", "")]
    (gone, missing, linked, unlisted, twice) = reasons(found)
    assert gone == (
        "gone.nii.gz",
        "is missing, but dataset.json lists it; paths that are not absolute count from its folder",
    )
    assert "b.nrrd is missing, but dataset.json lists it; set the environment variable NOT_SET_IN_TEST" in missing[1]
    assert "x2.nii.gz is a link to a file that is not here; fetch it first" in linked[1]
    assert unlisted == ("x2_0000.nii.gz", "dataset.json does not list it")
    assert twice == ("t2.mha", "is listed twice; its first entry counts (one, split train)")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], 'its "dataset" is not a list of cases by their names'),
        ({}, "lists no case whose files are here$"),
        ({"a": {"images": ["gone.mha"]}}, r"lists no case whose files are here; .*gone\.mha: is missing"),
        ({"a": "t2.mha"}, r"the case a is 't2\.mha', not \{\"images\": \[PATH\], \"label\": PATH\}"),
        ({"a": {"images": []}}, "the case a is"),
        ({"a": {"images": [3]}}, "the case a is"),
        ({"a": {"images": ["x" * 5000]}}, "the case a is"),
        (
            {"a": {"images": ["t1.mha", "t2.mha"]}},
            r"'t1\.mha' and 1 more are the images of one case; training takes one",
        ),
    ],
)
def test_a_list_of_paths_that_cannot_be_used_is_named(tmp_path, dataset, message):
    source = described(tmp_path / "Dataset004", dataset=dataset)
    with pytest.raises(InputError, match=message):
        import_nnunet(source, tmp_path, NO_OPTIONS)


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_nnunet_in_other_formats(tmp_path, ending):
    source = described(tmp_path / "Dataset005", file_ending=ending, licence="CC0")
    image(source / f"imagesTr/a_0000{ending}")
    labels(source / f"labelsTr/a{ending}", 1, 2)
    found = import_nnunet(source, tmp_path, NO_OPTIONS)
    assert rows(found) == [("a", "train", f"a_0000{ending}", f"a{ending}")]
    assert found.datalist.licence == "CC0"
    described(source, file_ending=ending, licence="Whoever converted this dataset was lazy and didn't look it up!")
    assert import_nnunet(source, tmp_path, NO_OPTIONS).datalist.licence == "of the data's owner"


@pytest.mark.parametrize(
    ("given", "values", "ignore"),
    [
        ({"liver": [1], "tumour": (2,)}, {1: "liver", 2: "tumour"}, 0),
        ({"liver": [1, 2], "spleen": 3}, {1: "liver", 2: "liver", 3: "spleen"}, 0),
        ({"liver": [1], "ignore": 2}, {1: "liver"}, 2),
        ({"liver": 1.0, "tumour": "2"}, {1: "liver", 2: "tumour"}, 0),
        ({"liver": 1, "tumour": 2, "ignore": 255}, {1: "liver", 2: "tumour"}, 255),
    ],
)
def test_regions_that_do_not_overlap_are_structures_of_several_values(cohort, tmp_path, given, values, ignore):
    cases = {"a": {"images": ["../cohort/a/t2.mha"], "label": "../cohort/a/liver.nrrd"}}
    source = described(
        tmp_path / "Dataset006", dataset=cases, labels={"background": 0, **given}, regions_class_order=[1]
    )
    found = import_nnunet(source, tmp_path, NO_OPTIONS).datalist
    assert (found.values, found.ignore) == (values, ignore)
    assert check_scans(found)[1] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"liver": [1, 2], "tumour": 2},
            "'liver' and 'tumour' both contain the value 2; training takes labels that do not",
        ),
        ({"liver": 255}, "a label is a whole number from 0 to 254"),
        ({"liver": 1, "ignore": [2, 3]}, "2 values are called 'ignore'; a data set has one such value at most"),
        ({"liver": "one"}, "the value of 'liver' is 'one'"),
    ],
)
def test_labels_that_training_cannot_take_are_named(cohort, tmp_path, given, message):
    cases = {"a": {"images": ["../cohort/a/t2.mha"], "label": "../cohort/a/liver.nrrd"}}
    source = described(tmp_path / "Dataset007", dataset=cases, labels={"background": 0, **given})
    with pytest.raises(InputError, match=message):
        import_nnunet(source, tmp_path, NO_OPTIONS)
    described(source, dataset=cases, labels={"background": 0, **given, "ignore": 2})
    found = import_nnunet(source, tmp_path, OwnDataOptions(values={1: "liver"})).datalist
    assert (found.values, found.ignore) == ({1: "liver"}, 2), "the options say what the values are; 2 is still ignored"


def test_a_value_may_be_called_ignore_in_any_layout(tmp_path):
    image(tmp_path / "in/a.nii.gz")
    labels(tmp_path / "in/a_label.nii.gz", 1, 2)
    (tmp_path / "in/labels.json").write_text('{"1": "liver", "2": "ignore"}')
    found = import_folder(tmp_path / "in", tmp_path / "made", OwnDataOptions("T2WI")).datalist
    assert (found.values, found.ignore) == ({1: "liver"}, 2)


def test_a_list_of_monai_with_folds_tests_and_missing_files(decathlon, tmp_path):
    entries = [
        {"image": f"imagesTr/{n}.nii.gz", "label": f"labelsTr/{n}.nii.gz", "fold": 0} for n in ("a", "b", "gone")
    ]
    source = decathlon(modality="MRI T2", training=entries, validation=entries[:1], testing=["imagesTr/t.nii.gz"])
    image(source / "imagesTr/t.nii.gz")
    found = import_decathlon(source, tmp_path, NO_OPTIONS)
    tested = ("t", "test", "t.nii.gz", "")
    assert rows(found) == [("a", "train", "a.nii.gz", "a.nii.gz"), ("b", "train", "b.nii.gz", "b.nii.gz"), tested]
    assert found.datalist.licence == "CC-BY-SA 4.0"
    gone, folds, twice = reasons(found)
    assert gone[0] == "gone.nii.gz"
    assert "the folds of its entries are not taken over; a training makes its own (data.fold.number)" in folds[1]
    assert twice == ("a.nii.gz", "is listed twice; its first entry counts (a, split train)")
    decathlon(testing=[{"image": "imagesTr/t.nii.gz", "label": "labelsTr/a.nii.gz"}])
    assert rows(import_decathlon(source, tmp_path, NO_OPTIONS))[-1] == ("t", "test", "t.nii.gz", "a.nii.gz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": {"0": "T2", "1": "ADC"}}, "save one channel of each image as a file of its own"),
        ({"training": {"0": "a"}}, 'its "training" is not a list'),
        (
            {"training": [{"image": "imagesTr/a.nii.gz", "label": 0}]},
            r"is not like \{\"image\": PATH, \"label\": PATH\}",
        ),
        ({"training": []}, "lists no image"),
        ({"training": ["away/a.nii.gz"]}, r"dataset\.json lists it; paths .* count from its folder; no image of"),
    ],
)
def test_lists_that_cannot_be_used_are_named(decathlon, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        import_decathlon(decathlon(**changes), tmp_path, NO_OPTIONS)


def test_nnunet_and_the_decathlon_are_told_apart(decathlon, tmp_path):
    source = decathlon()
    with pytest.raises(InputError, match=r"no file like CASE_0000\.nii\.gz, but a\.nii\.gz; import it as `decathlon`"):
        import_nnunet(source, tmp_path, NO_OPTIONS)
    for name in ("a", "b"):
        (source / f"imagesTr/{name}.nii.gz").rename(source / f"imagesTr/{name}_0000.nii.gz")
    with pytest.raises(InputError, match=r"a_0000\.nii\.gz is there, as nnU-Net names images: import it as `nnunet`"):
        import_decathlon(source, tmp_path, NO_OPTIONS)
    assert [row[0] for row in rows(import_nnunet(source, tmp_path, NO_OPTIONS))] == ["a", "b"]
    with pytest.raises(InputError, match="is not a folder; give the folder of your data in nnU-Net's layout"):
        import_nnunet(source / "dataset.json", tmp_path, NO_OPTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"dataset\.json: cannot be read \(No such file or directory\); give the folder that contains"),
        ('{"labels": {"liver": 1},}', r"dataset\.json: is not JSON \(.*\); correct it"),
        ("[1]", "is not a description of a data set"),
    ],
)
def test_a_document_that_cannot_be_read_is_named(tmp_path, text, message):
    if text:
        (tmp_path / "dataset.json").write_text(text)
    for importer in (import_nnunet, import_decathlon):
        with pytest.raises(InputError, match=message):
            importer(tmp_path, tmp_path, NO_OPTIONS)


def test_the_script_takes_listed_paths_and_names_images_of_several_frames(cohort, tmp_path):
    frame = sitk.ReadImage(str(cohort / "c/t2.mha"))
    sitk.WriteImage(sitk.JoinSeries(frame, frame), str(cohort / "c/t2.nii.gz"))
    cases = {
        "one": {"images": ["../cohort/a/t2.mha"], "label": "../cohort/a/liver.nrrd"},
        "not chosen": {"images": ["../cohort/b/t2.mha"], "label": "../cohort/b/liver.nrrd"},
        "two": {"images": ["../cohort/c/t2.nii.gz"], "label": "../cohort/c/liver.nrrd"},
        "nor this": {"images": ["../cohort/c/t2.mha"], "label": "../cohort/c/liver.nrrd"},
    }
    source, output = described(tmp_path / "Dataset008", dataset=cases), tmp_path / "out/mine.json"
    command = [sys.executable, str(ROOT / "scripts/import_dataset.py"), "nnunet", str(source), "-o", str(output)]
    done = subprocess.run([*command, "--most", "2"], capture_output=True, text=True, check=True)
    assert f"left out: {source}: 2 of its 4 volumes; --most is 2" in done.stderr
    assert "t2.nii.gz: has 2 frames; save the one that is meant as a file" in done.stderr
    (scan,) = read_datalist(output).scans
    assert (scan.patient, scan.image) == ("one", cohort / "a/t2.mha")
    assert np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(scan.labels)))).tolist() == [0, 1, 2]
