"""Importers on skeletons of the official layouts, with tiny volumes; a layout that differs is named."""

import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom_series import write_dicom_series
from helpers.places import ROOT
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.data.datalist import case_name, read_datalist, write_datalist
from LiverMRISegLib.data.importers import (
    OwnDataOptions,
    import_amos,
    import_atlas,
    import_chaos,
    import_flare24,
    import_flare24_pseudo_ct,
    import_folder,
    import_liqa,
    import_lld_mmri,
)
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.pseudo_labels.outputs import check_case_names
from LiverMRISegLib.volume import Volume


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = make_volume(size=(6, 5, 4))
    is_labels = path.parent.name.startswith("labels")
    write_volume(Volume((made.array > 200).astype(np.uint8), made.geometry) if is_labels else made, path)


def volumes(folder, *names):
    for name in names:
        volume(folder / name)


@pytest.fixture
def atlas(tmp_path):
    volumes(tmp_path, *(f"imagesTr/im{n}.nii.gz" for n in (0, 2, 10)), *(f"labelsTr/lb{n}.nii.gz" for n in (0, 2, 10)))
    return tmp_path


def test_atlas(atlas):
    found = import_atlas(atlas, atlas)
    assert [scan.patient for scan in found.scans] == ["atlas-0", "atlas-2", "atlas-10"]
    assert found.scans[2].labels == atlas / "labelsTr" / "lb10.nii.gz"
    assert set(found.values.values()) == {"liver"}
    (atlas / "labelsTr" / "lb2.nii.gz").unlink()
    with pytest.raises(InputError, match=r"im2.nii.gz: has no labelsTr/lb2"):
        import_atlas(atlas, atlas)


def test_liqa_with_missing_phases(tmp_path):
    volumes(tmp_path / "Vendor_A" / "1009-A-S1", "T1.nii.gz", "DWI_800.nii.gz", "GED4.nii.gz", "mask_GED4.nii.gz")
    volumes(tmp_path / "Vendor_B2" / "0031-B2-S4", "T2.nii.gz", "GED1.nii.gz", "GED4.nii.gz")
    found = import_liqa(tmp_path, tmp_path)
    assert len(found.scans) == 6
    assert [(s.patient, s.sequence) for s in found.pool(labelled=True)] == [("1009-A-S1", "GED4")]
    assert {(s.vendor, s.centre) for s in found.scans} == {("A", "A"), ("B", "B2")}
    assert [s.sequence for s in found.pool(vendors=("B",), sequences=("GED1", "GED2"))] == ["GED1"]
    assert found.pool(split="test") == []
    volume(tmp_path / "Vendor_A" / "1009-A-S1" / "notes.nii.gz")
    with pytest.raises(InputError, match=r"notes.nii.gz: is not a sequence of LiQA"):
        import_liqa(tmp_path, tmp_path)


def test_liqa_with_two_b_values(tmp_path):
    """One sequence, one patient: their files must not meet in the stages that write a file a case."""
    volumes(tmp_path / "Vendor_A" / "1009-A-S1", "DWI_400.nii.gz", "DWI_800.nii.gz", "DWI.nii.gz", "GED4.nii.gz")
    scans = import_liqa(tmp_path, tmp_path).scans
    assert [case_name(scan) for scan in scans if scan.sequence == "DWI"] == [
        "1009-A-S1_DWI", "1009-A-S1_DWI_b400", "1009-A-S1_DWI_b800",
    ]  # fmt: skip
    check_case_names(scans)
    write_datalist(import_liqa(tmp_path, tmp_path), tmp_path / "liqa.json")
    assert [scan.series for scan in read_datalist(tmp_path / "liqa.json").scans] == ["", "b400", "b800", ""]


def test_amos(tmp_path):
    volumes(tmp_path, "imagesTr/amos_0001.nii.gz", "imagesTr/amos_0507.nii.gz", "imagesTs/amos_0600.nii.gz")
    volumes(tmp_path, "labelsTr/amos_0001.nii.gz", "labelsTr/amos_0507.nii.gz")
    found = import_amos(tmp_path, tmp_path)
    assert [(s.patient, s.sequence, s.split) for s in found.scans] == [
        ("amos-0001", "CT", "train"), ("amos-0507", "T1WI", "train"), ("amos-0600", "T1WI", "test"),
    ]  # fmt: skip
    assert found.values[6] == "liver"


@pytest.mark.parametrize(
    "importer", [import_atlas, import_liqa, import_amos, import_chaos, import_flare24, import_lld_mmri]
)
def test_another_layout_is_named(importer, tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        importer(tmp_path, tmp_path)
    with pytest.raises(InputError, match="is not there"):
        importer(tmp_path / "absent", tmp_path)


EIGHT = {"C+A": "C+A", "C+V": "C+V", "C+Delay": "C+Delay", "C-pre": "C+pre", "DWI": "DWI", "T2WI": "T2WI",
         "InPhase": "InPhase", "OutPhase": "OutPhase"}  # fmt: skip


def test_lld_mmri_by_its_table(tmp_path):
    info = {}
    for number, (phase, _) in enumerate(EIGHT.items()):
        spelled = phase.replace("Phase", " Phase")
        info.setdefault("MR-1", []).append({"phase": spelled, "studyUID": "s", "seriesUID": f"u{number}"})
        volume(tmp_path / f"images/MR-1/s/u{number}.nii.gz")
    (tmp_path / "labels").mkdir()
    table = tmp_path / "labels/Annotation.json"
    table.write_text(json.dumps({"Annotation_info": info}))
    found = import_lld_mmri(tmp_path, tmp_path)
    assert [(s.patient, s.sequence) for s in found.scans] == [("MR-1", sequence) for sequence in EIGHT.values()]
    info["MR-1"][0]["phase"] = "ADC"
    table.write_text(json.dumps({"Annotation_info": info}))
    with pytest.raises(InputError, match=r"unknown phase 'ADC'"):
        import_lld_mmri(tmp_path, tmp_path)
    (tmp_path / "images/MR-1/s/u3.nii.gz").unlink()
    with pytest.raises(InputError, match=r"ADC|u3"):
        import_lld_mmri(tmp_path, tmp_path)
    table.write_text("{}")
    with pytest.raises(InputError, match="table of series"):
        import_lld_mmri(tmp_path, tmp_path)


def test_lld_mmri_by_flat_names(tmp_path):
    volumes(tmp_path / "images", "MR-1_1_C+A_0000.nii.gz", "MR-1_2_C--V_0000.nii.gz", "MR2_In Phase_0000.nii.gz")
    volumes(tmp_path / "images", "MR3_C--pre_0000.nii.gz", "MR4_C+pre_0000.nii.gz", "MR5_C-pre_0000.nii.gz")
    found = import_lld_mmri(tmp_path, tmp_path)
    phases = [("MR-1", "C+A"), ("MR-1", "C+V"), ("MR2", "InPhase"), *((f"MR{n}", "C+pre") for n in (3, 4, 5))]
    assert [(s.patient, s.sequence) for s in found.scans] == phases
    volume(tmp_path / "images/notes.nii.gz")
    with pytest.raises(InputError, match=r"notes.nii.gz: is not a name like"):
        import_lld_mmri(tmp_path, tmp_path)


@pytest.mark.parametrize("parts", [("FLARE24-Task3-CT", "FLARE24-Task3-MR"), ("", "")])
def test_flare24_task_3(tmp_path, parts):
    ct, mr = (tmp_path / part / "Training" for part in parts)
    labelled = ct / "FLARE_LabeledCase50"
    volumes(labelled, "images/FLARE22_Tr_0001_0000.nii.gz", "labels/FLARE22_Tr_0001.nii.gz")
    with pytest.raises(InputError, match="contains neither MR"):
        import_flare24(tmp_path, tmp_path)
    volumes(mr, "AMOS_MR_good_spacing-833/amos_0507_0000.nii.gz", "LLD-MMRI-3984/MR-1_1_C-pre_0000.nii.gz")
    found = import_flare24(tmp_path, tmp_path)
    assert [(s.patient, s.sequence, s.labels is not None) for s in found.scans] == [
        ("flare-0001", "CT", True), ("amos-0507", "T1WI", False), ("MR-1", "C+pre", False),
    ]  # fmt: skip
    assert found.values[13] == "left kidney"
    (mr / "LLD-MMRI-3984/MR-1_1_C-pre_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="LLD-MMRI-3984: contains no volume"):
        import_flare24(tmp_path, tmp_path)
    volumes(mr, "LLD-MMRI-3984/MR-1_1_C-pre_0000.nii.gz")
    (labelled / "labels/FLARE22_Tr_0001.nii.gz").unlink()
    with pytest.raises(InputError, match="has no labels/FLARE22_Tr_0001"):
        import_flare24(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("part", "ct", "mr", "images", "labels"),
    [
        ("FLARE24-Task3-MR", "Training/FLARE22_LabeledCase50/images", "Training/AMOS_MR_good_spacing-833",
         "PublicValidation/imagesVal", "PublicValidation/labelsVal"),
        ("", "train_CT_gt_label/imagesTr", "train_MRI_unlabeled/AMOS-833",
         "validation/MRI_imagesVal", "validation/MRI_labelsVal"),
    ],
)  # fmt: skip
def test_flare24_has_a_validation_set_in_both_layouts(tmp_path, part, ct, mr, images, labels):
    root = tmp_path / part
    volumes(root, f"{ct}/FLARE22_Tr_0001_0000.nii.gz", f"{ct.replace('images', 'labels')}/FLARE22_Tr_0001.nii.gz")
    volumes(root, f"{mr}/amos_0507_0000.nii.gz", f"{mr}/amos_7296_0000.nii.gz")
    for name in ("amos_7296", "MR-9_2_C+Delay"):
        volumes(root, f"{images}/{name}_0000.nii.gz", f"{labels}/{name}.nii.gz")
    found = import_flare24(tmp_path, tmp_path)
    judged = found.pool(split="validation", labelled=True)
    assert [(scan.patient, scan.sequence) for scan in judged] == [("amos-7296", "T1WI"), ("MR-9", "C+Delay")]
    assert [scan.patient for scan in found.pool(labelled=False)] == ["amos-0507"]  # nobody is trained and tested on
    (root / labels / "amos_7296.nii.gz").unlink()
    with pytest.raises(InputError, match=r"amos_7296_0000\.nii\.gz: has no (MRI_)?labelsVal/amos_7296"):
        import_flare24(tmp_path, tmp_path)


def test_ct_with_pseudo_labels_of_flare22(tmp_path):
    with pytest.raises(InputError, match="contains no train_CT_pseudolabel/flare22_aladdin5_pseudo"):
        import_flare24_pseudo_ct(tmp_path, tmp_path)
    root = tmp_path / "train_CT_pseudolabel"
    volumes(root, "imagesTr/Case_00001_0000.nii.gz", "pseudo_label_blackbean_flare22/Case_00001.nii.gz")
    found = import_flare24_pseudo_ct(tmp_path, tmp_path)
    assert [(s.patient, s.sequence, s.labels.parent.name) for s in found.scans] == [
        ("flare-pseudo-Case_00001", "CT", "pseudo_label_blackbean_flare22")
    ]


def chaos_series(folder, direction, ground=None):
    """A series whose voxels above the mean are liver, and their PNGs; file names run against the slices' places."""
    made = make_volume(direction, size=(12, 10, 6))
    write_dicom_series(folder, made)
    for number, file in enumerate(sorted(folder.glob("*.dcm"), reverse=True)):
        file.rename(folder / f"IMG-{number:05d}.dcm")
    if ground is None:
        return made
    ground.mkdir(parents=True, exist_ok=True)
    liver = made.array.astype(np.uint16) > made.array.mean()  # as the DICOM files hold it
    for number in range(6):
        grey = np.where(liver[5 - number], 63, 0).astype(np.uint8)
        grey[0, 0] = 252
        sitk.WriteImage(sitk.GetImageFromArray(grey), str(ground / f"IMG-{number:05d}.png"))
    return made


@pytest.mark.parametrize("number", range(3))
def test_chaos_labels_lie_on_their_series(tmp_path, number):
    patient = tmp_path / "Train_Sets" / "MR" / "7"
    direction = [np.eye(3), *oblique_directions()][number]
    chaos_series(patient / "T1DUAL" / "DICOM_anon" / "InPhase", direction)
    chaos_series(patient / "T1DUAL" / "DICOM_anon" / "OutPhase", direction)
    made = chaos_series(patient / "T2SPIR" / "DICOM_anon", direction, patient / "T2SPIR" / "Ground")
    found = import_chaos(tmp_path / "Train_Sets", tmp_path / "labels")
    assert [(s.sequence, s.labels is not None) for s in found.scans] == [
        ("InPhase", False), ("OutPhase", False), ("T2WI", True),
    ]  # fmt: skip
    labels = read_labelmap(found.scans[2].labels)
    image = read_volume(found.scans[2].image)
    assert labels.array.shape == image.array.shape
    assert np.allclose(labels.geometry.origin, image.geometry.origin, atol=1e-3)
    expected = image.array > made.array.mean()
    expected[:, 0, 0] = False
    assert np.array_equal(labels.array == 1, expected)
    assert (labels.array[:, 0, 0] == 4).all()
    (patient / "T2SPIR" / "Ground" / "IMG-00005.png").unlink()
    with pytest.raises(InputError, match="contains 5 PNGs for 6 DICOM files"):
        import_chaos(tmp_path / "Train_Sets", tmp_path / "labels")


def test_the_script(atlas):
    command = [sys.executable, str(ROOT / "scripts" / "import_dataset.py"), "atlas", str(atlas)]
    done = subprocess.run([*command, "-o", str(atlas / "atlas.json")], capture_output=True, text=True, check=True)
    assert "3 patients, 3 volumes, 3 with labels" in done.stderr
    assert len(read_datalist(atlas / "atlas.json").scans) == 3
    wrong = [*command[:2], "liqa", str(atlas), "-o", str(atlas / "x.json")]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Vendor_A" in done.stderr
    assert not (atlas / "x.json").exists()


def test_a_plain_folder_of_unlabelled_volumes(tmp_path):
    results = ("T2WI/LiverMRISeg/case_01_seg.seg.nrrd", "T2WI/case_01_seg.nii.gz", "T2WI/._case_01.nii.gz")
    for name in ("T2WI/case_01.nii.gz", "T2WI/deep/case_02.nrrd", "case_03_t1_vibe.mha", "notes.txt", *results):
        path = tmp_path / "cohort" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    listed = import_folder(tmp_path / "cohort", tmp_path, OwnDataOptions()).datalist
    assert [(scan.patient, scan.sequence, scan.labels) for scan in listed.scans] == [
        ("T2WI_case_01", "T2WI", None), ("T2WI_deep_case_02", "T2WI", None), ("case_03_t1_vibe", "T1WI", None),
    ]  # fmt: skip
    shouted = tmp_path / "shouted" / "T2WI"
    shouted.mkdir(parents=True)
    for name in ("A.NII.GZ", "b.mhd"):
        (shouted / name).write_bytes(b"")
    assert [
        scan.patient for scan in import_folder(tmp_path / "shouted", tmp_path, OwnDataOptions()).datalist.scans
    ] == ["T2WI_A", "T2WI_b"]
    misleading = tmp_path / "told" / "t2wi" / "B01_post_op.nii.gz"
    misleading.parent.mkdir(parents=True)
    misleading.write_bytes(b"")
    assert [scan.sequence for scan in import_folder(tmp_path / "told", tmp_path, OwnDataOptions()).datalist.scans] == [
        "T2WI"
    ]
    (tmp_path / "cohort" / "case_04.nii").write_bytes(b"")
    with pytest.raises(InputError, match=r"case_04\.nii: no name says which sequence it is; give --sequence"):
        import_folder(tmp_path / "cohort", tmp_path, OwnDataOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no volume"):
        import_folder(tmp_path / "empty", tmp_path, OwnDataOptions())
