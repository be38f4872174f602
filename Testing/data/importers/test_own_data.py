"""A user's own data in the four layouts that most have, with real files; what cannot be used is named."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.own_data import described, image, labels
from helpers.places import ROOT
from helpers.tiny_data import status_of_script_here, write_config
from helpers.volumes import make_volume
from LiverMRISegLib.data.datalist import case_name, read_datalist, write_datalist
from LiverMRISegLib.data.importers import (
    OwnDataOptions,
    import_bids,
    import_decathlon,
    import_nnunet,
)
from LiverMRISegLib.data.importers.own_data import read_label_names, read_table
from LiverMRISegLib.data.importers.summary import check_scans, summary_text
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import run
from LiverMRISegLib.volume import Volume

NO_OPTIONS = OwnDataOptions()
T2 = OwnDataOptions(sequence="T2WI")


@pytest.fixture
def nnunet(tmp_path):
    source = described(tmp_path / "Dataset001_Mine")
    for number in (1, 2, 3):
        image(source / f"imagesTr/case_{number:03d}_0000.nii.gz", number)
    for number in (1, 2):
        labels(source / f"labelsTr/case_{number:03d}.nii.gz", 1, 2)
    image(source / "imagesTs/case_009_0000.nii.gz")
    image(source / "imagesTr/odd.nii.gz")
    return source


def test_nnunet(nnunet, tmp_path):
    found = import_nnunet(nnunet, tmp_path, NO_OPTIONS)
    rows = [(s.patient, s.sequence, s.labels is not None, s.split) for s in found.datalist.scans]
    assert rows == [
        ("case_001", "T2WI", True, "train"), ("case_002", "T2WI", True, "train"), ("case_003", "T2WI", False, "train"),
        ("case_009", "T2WI", False, "test"),
    ]  # fmt: skip
    assert found.datalist.values == {1: "liver", 2: "tumour"}
    assert [path.name for path, _ in found.left_out] == ["odd.nii.gz"]


def test_nnunet_of_the_first_version_and_with_open_voxels(nnunet, tmp_path):
    described(nnunet, channel_names=None, modality={"0": "CT"}, labels={"0": "background", "1": "liver"})
    found = import_nnunet(nnunet, tmp_path, NO_OPTIONS)
    assert {scan.sequence for scan in found.datalist.scans} == {"CT"}
    assert found.datalist.values == {1: "liver"}
    described(nnunet, labels={"background": 0, "liver": 1, "ignore": 2})
    found = import_nnunet(nnunet, tmp_path, NO_OPTIONS)
    assert (found.datalist.values, found.datalist.ignore) == ({1: "liver"}, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_names": {"0": "T1", "1": "T2"}}, r"describes 2 channels \(T1, T2\); training takes one image"),
        ({"labels": {"background": 0, "liver": 300}}, "the value of 'liver' is 300"),
        ({"labels": {}}, "has no labels"),
        ({"channel_names": {"0": "MRI"}}, "no name says which sequence it is; give --sequence"),
        ({"file_ending": ".nrrd"}, r"contains no file like CASE_0000\.nrrd, but case_001_0000\.nii\.gz"),
        ({"file_ending": ".png"}, r"\"file_ending\" is '\.png'; training takes volumes \(\.nii\.gz"),
        ({"channel_names": None}, "no name says which sequence it is; give --sequence"),
    ],
)
def test_what_nnunet_data_cannot_be_trained_on_is_said(nnunet, tmp_path, changes, message):
    described(nnunet, **changes)
    with pytest.raises(InputError, match=message):
        import_nnunet(nnunet, tmp_path, NO_OPTIONS)


def test_a_table_completes_the_cases(nnunet, tmp_path):
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,patient,sequence,vendor,centre,split\ncase_001,p1,GED4,GE,north,\ncase_002,p1,,,,validation\n"
    )
    found = import_nnunet(nnunet, tmp_path, OwnDataOptions(sequence="T1WI", table=table)).datalist.scans
    assert (found[0].patient, found[0].sequence, found[0].vendor, found[0].centre) == ("p1", "GED4", "GE", "north")
    assert (found[1].patient, found[1].sequence, found[1].split) == ("p1", "T1WI", "validation")
    assert found[2].patient == "case_003"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nx\n", "unknown column 'name'"),
        ("patient\nx\n", "has no column 'case'"),
        ("case,patient\nnobody,p\n", "'nobody' is not a case of this data; cases are called case_001"),
        ("case,patient\ncase_001,p\ncase_001,q\n", "'case_001' occurs twice"),
        ("case,sequence\ncase_001,T7\n", "unknown sequence 'T7'"),
        ("case,split\ncase_001,training\n", "unknown split 'training'"),
    ],
)
def test_a_table_that_does_not_fit_is_named(nnunet, tmp_path, text, message):
    table = tmp_path / "cases.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        import_nnunet(nnunet, tmp_path, OwnDataOptions(table=table))


def test_a_sequence_nobody_knows_is_refused():
    with pytest.raises(UsageError, match="unknown sequence 'T9'; known are: T1WI"):
        OwnDataOptions(sequence="T9")


def test_a_decathlon_and_a_datalist_of_monai(tmp_path):
    source = tmp_path / "Task03_Liver"
    for name in ("a", "b", "c"):
        image(source / f"imagesTr/{name}.nii.gz")
        labels(source / f"labelsTr/{name}.nii.gz", 1)
    document = {
        "name": "Liver", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"},
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "ab"],
        "test": ["./imagesTr/c.nii.gz"],
    }  # fmt: skip
    (source / "dataset.json").write_text(json.dumps(document))
    found = import_decathlon(source, tmp_path, NO_OPTIONS).datalist
    assert [(s.patient, s.sequence, s.split, s.labels is not None) for s in found.scans] == [
        ("a", "CT", "train", True), ("b", "CT", "train", True), ("c", "CT", "test", False),
    ]  # fmt: skip
    assert found.values == {1: "liver"}
    monai = source / "datalist.json"
    monai.write_text(json.dumps({"validation": [{"image": ["imagesTr/a.nii.gz"], "label": "labelsTr/a.nii.gz"}]}))
    with pytest.raises(InputError, match="does not say what its labels mean"):
        import_decathlon(monai, tmp_path, T2)
    found = import_decathlon(monai, tmp_path, OwnDataOptions("T2WI", {1: "spleen"})).datalist
    assert (found.values, found.scans[0].split) == ({1: "spleen"}, "validation")
    monai.write_text(json.dumps({"training": [{"image": ["a", "b"]}]}))
    with pytest.raises(InputError, match="'a' and 1 more are the images of one case; training takes one a case"):
        import_decathlon(monai, tmp_path, T2)
    monai.write_text(json.dumps({"training": [{"image": "gone.nii.gz"}]}))
    with pytest.raises(InputError, match=r"gone\.nii\.gz: is missing"):
        import_decathlon(monai, tmp_path, T2)


def test_bids_with_label_maps_and_with_masks(tmp_path):
    source = tmp_path / "study"
    for subject, session in (("01", "a"), ("01", "b"), ("02", "a")):
        image(source / f"sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_acq-fs_T2w.nii.gz")
    image(source / "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz")
    (source / "sub-01/ses-a/anat/sub-01_ses-a_acq-fs_T2w.json").write_text('{"Manufacturer": "Siemens"}')
    made = source / "derivatives/manual"
    labels(made / "sub-01/ses-a/anat/sub-01_ses-a_acq-fs_desc-manual_T2w_dseg.nii.gz", 3, 7)
    (made / "dseg.tsv").write_text("index\tname\n0\tbackground\n3\tliver\n7\tspleen\n")
    found = import_bids(source, tmp_path / "out", NO_OPTIONS).datalist
    assert [(s.patient, s.sequence, s.labels is not None, s.vendor) for s in found.scans] == [
        ("sub-01", "T2WI", True, "Siemens"), ("sub-01", "T2WI", False, ""), ("sub-02", "T1WI", False, ""),
        ("sub-02", "T2WI", False, ""),
    ]  # fmt: skip
    assert found.values == {3: "liver", 7: "spleen"}
    (made / "dseg.tsv").unlink()
    with pytest.raises(InputError, match=r"no dseg\.tsv says what its values mean"):
        import_bids(source, tmp_path / "out", NO_OPTIONS)
    next(made.rglob("*dseg.nii.gz")).unlink()
    labels(made / "sub-02/ses-a/anat/sub-02_ses-a_acq-fs_label-liver_mask.nii.gz", 1)
    labels(made / "sub-02/ses-a/anat/sub-02_ses-a_acq-fs_label-rightKidney_mask.nii.gz", 0, 1)
    found = import_bids(source, tmp_path / "out", NO_OPTIONS).datalist
    assert found.values == {1: "liver", 2: "right kidney"}
    (joined,) = [scan.labels for scan in found.scans if scan.labels]
    assert np.unique(read_labelmap(joined).array).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"Manufacturer": "A", "Manufacturer": "B"}', "the key 'Manufacturer' is there twice"),
        ("[]", "is not a JSON object"), ("{", "Expecting property name"), ('{"Manufacturer": null}', ""), ("{}", ""),
    ],
)  # fmt: skip
def test_a_bids_sidecar_that_cannot_be_read_is_said(tmp_path, text, said):
    source = tmp_path / "study"
    image(source / "sub-01/anat/sub-01_T2w.nii.gz")
    (source / "sub-01/anat/sub-01_T2w.json").write_text(text)
    found = import_bids(source, tmp_path / "out", NO_OPTIONS)
    assert [scan.vendor for scan in found.datalist.scans] == [""]
    named = [(path.name, said in why and "the vendor of its image is not known" in why) for path, why in found.left_out]
    assert named == ([("sub-01_T2w.json", True)] if said else [])


def test_what_files_really_hold_is_checked(nnunet, tmp_path):
    labels(nnunet / "labelsTr/case_002.nii.gz", 9)
    other = make_volume(size=(6, 5, 4))
    write_volume(Volume(np.ones(other.array.shape, np.uint8), other.geometry), nnunet / "labelsTr/case_003.nii.gz")
    (nnunet / "imagesTs/case_009_0000.nii.gz").write_bytes(b"no volume")
    checked, refused = check_scans(import_nnunet(nnunet, tmp_path, NO_OPTIONS).datalist, tmp_path / "made")
    assert [each.scan.patient for each in checked] == ["case_001"]
    assert checked[0].voxels.keys() == {1, 2}
    reasons = [reason for _, reason in refused]
    assert "contains the value 9, which has no meaning" in reasons[0]
    assert "is on another grid" in reasons[1]


def test_label_maps_without_any_organ_are_named(nnunet, tmp_path):
    labels(nnunet / "labelsTr/case_002.nii.gz")
    datalist = import_nnunet(nnunet, tmp_path, NO_OPTIONS).datalist
    lines = summary_text(datalist, check_scans(datalist)[0], []).splitlines()
    [scan] = [scan for scan in datalist.scans if scan.patient == "case_002"]
    assert [line for line in lines if "any organ" in line] == [f"  label maps without any organ: {case_name(scan)}"]


def test_the_script_writes_datalist_summary_and_pictures_and_trains(nnunet, tmp_path):
    output = tmp_path / "mine.json"
    command = [sys.executable, str(ROOT / "scripts" / "import_dataset.py"), "nnunet", str(nnunet), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "4 patients, 4 volumes, 2 with labels" in done.stderr
    text = output.with_suffix(".txt").read_text()
    assert "label 2 tumour: in 2 of 2 label maps" in text
    assert "odd.nii.gz" in text
    with Image.open(output.with_suffix(".png")) as picture:
        assert picture.width == 900
    config = write_config(
        tmp_path, output, loop="{steps: 2, log_every: 1, checkpoint_every: 2, precision: 32-true, accelerator: cpu}"
    )
    config.write_text(
        config.read_text().replace("[liver, spleen]", "[liver, tumour]") + f"run_folder: {tmp_path / 'run'}\n"
    )
    from LiverMRISegLib.training.stages.finetune import FinetuneConfig

    run(read_config(FinetuneConfig, config))
    document = json.loads((tmp_path / "run/model/model.json").read_text())
    assert [entry["organ"] for entry in document["labels"]] == ["liver", "tumour"]
    assert read_datalist(output).values == {1: "liver", 2: "tumour"}


def test_public_layouts_take_no_options_of_own_data(tmp_path):
    command = [
        sys.executable,
        str(ROOT / "scripts" / "import_dataset.py"),
        "atlas",
        str(tmp_path),
        "-o",
        str(tmp_path / "x.json"),
    ]
    done = subprocess.run([*command, "--sequence", "T2WI"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "omit the options of own data" in done.stderr


def test_structures_of_any_name_keep_their_values(tmp_path):
    from LiverMRISegLib.data.datalist import Datalist

    with pytest.raises(UsageError, match="a label needs a value from 1 to 254 and a name"):
        Datalist("x", "", {300: "liver"}, [])
    write_datalist(Datalist("x", "", {7: "cyst"}, []), tmp_path / "x.json")
    assert read_datalist(tmp_path / "x.json").values == {7: "cyst"}


def test_a_label_file_may_name_any_structures_and_one_twice(tmp_path):
    image(tmp_path / "cohort/p1.nii.gz")
    labels(tmp_path / "cohort/p1_label.nii.gz", 1, 2)
    names, output = tmp_path / "names.json", tmp_path / "x.json"
    names.write_text('{"1": "liver", "2": "liver", "3": "cyst"}')
    command = [sys.executable, str(ROOT / "scripts" / "import_dataset.py"), "folder", str(tmp_path / "cohort")]
    command += ["-o", str(output), "--sequence", "T2WI", "--labels", str(names)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert read_datalist(output).values == {1: "liver", 2: "liver", 3: "cyst"}
    names.write_text("[" * 100_000)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert "names.json: is not a label file" in done.stderr
    for read in (read_label_names, read_table):
        with pytest.raises(InputError, match=r"none: cannot be read \(No such file or directory\)$"):
            read(tmp_path / "none")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (".", "is a folder; give -o the name of a file"),
        ("cohort", "is a folder; give -o the name of a file"),
        ("mine.txt", "is the name of what is written beside the datalist"),
        ("file/mine.json", "file: cannot be written (File exists)"),
    ],
)
def test_where_no_datalist_can_be_written_is_said_before_anything_is_read(tmp_path, monkeypatch, caplog, output, words):
    image(tmp_path / "cohort/p1.nii.gz")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    there = sorted(tmp_path.rglob("*"))
    command = ["python", str(ROOT / "scripts/import_dataset.py"), "folder", "cohort", "-o", output]
    assert status_of_script_here(command, monkeypatch) == 2
    assert words in caplog.text
    assert sorted(tmp_path.rglob("*")) == there
