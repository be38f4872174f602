"""What a mask says of itself: in every format, read back, and no hindrance to other readers."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom_series import write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation, write_volume
from LiverMRISegLib.io.made_by import MadeBy, choice_digits, image_digits, made_by

MADE_BY = MadeBy("liver-any-sequence 1.12", "1a2b3c4d5e6f7a8b", "00aa11bb", "")


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "nrrd", "mha", "seg.nrrd", "dcm"])
def test_every_format_says_it(tmp_path, kind):
    source, volume = None, make_volume(size=(20, 18, 6))
    if kind == "dcm":
        pytest.importorskip("highdicom")
        write_dicom_series(tmp_path / "s", volume)
        source = volume = read_volume(tmp_path / "s")
    labels = np.random.default_rng(0).integers(0, 5, volume.array.shape).astype(np.uint8)
    path = tmp_path / f"m.{kind}"
    write_segmentation(path, labels, CHAOS, volume.geometry, source=source, comment=MADE_BY.to_line())
    assert made_by(path) == MADE_BY.as_written() == MadeBy("liver-any-sequence 1.12", "1a2b3c4d", "00aa11bb")
    assert np.bincount(read_labelmap(path).array.ravel()).tolist() == np.bincount(labels.ravel()).tolist()
    if kind != "dcm":
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), labels)
    if kind.startswith("nii"):
        assert np.array_equal(np.asanyarray(nibabel.load(path).dataobj).T, labels)
        assert nibabel.load(path).header["descrip"].item().decode() == MADE_BY.to_line()


def test_what_other_programs_write_says_nothing(tmp_path):
    write_volume(make_volume(size=(20, 18, 6)), tmp_path / "v.nii.gz")
    assert made_by(tmp_path / "v.nii.gz") is None
    image = nibabel.load(tmp_path / "v.nii.gz")
    image.header["descrip"] = b"FSL5.0"
    nibabel.save(image, tmp_path / "w.nii")
    assert made_by(tmp_path / "w.nii") is None
    (tmp_path / "w.nii").write_bytes((tmp_path / "w.nii").read_bytes()[:-500])
    with pytest.raises(InputError, match="truncated"):
        made_by(tmp_path / "w.nii")
    (tmp_path / "m.dcm").write_text("no DICOM at all")
    with pytest.raises(InputError, match="not a DICOM file"):
        made_by(tmp_path / "m.dcm")


@pytest.mark.parametrize("name", ["a" * 200 + " 1", "größe 2|x\\n\n3", " 1"])
def test_any_name_of_a_model_is_a_line_of_ascii(tmp_path, name):
    line = MadeBy(name, "1a2b3c4d").to_line()
    assert len(line) <= 64
    assert line.isascii()
    assert line.isprintable()
    volume = make_volume(size=(20, 18, 6))
    for kind in ("nii", "nrrd", "mha"):
        write_segmentation(tmp_path / f"m.{kind}", volume.array > 0, CHAOS, volume.geometry, comment=line)
        assert made_by(tmp_path / f"m.{kind}") == MadeBy(name, "1a2b3c4d").as_written()


def test_digits_are_of_what_the_files_hold_and_not_of_their_names(tmp_path):
    volume = make_volume(size=(20, 18, 6))
    write_volume(volume, tmp_path / "a.nii")
    (tmp_path / "b.nii").write_bytes((tmp_path / "a.nii").read_bytes())
    assert image_digits([tmp_path / "a.nii"]) == image_digits([tmp_path / "b.nii"])
    (tmp_path / "b.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:-1] + b"\1")
    assert image_digits([tmp_path / "a.nii"]) != image_digits([tmp_path / "b.nii"])
    write_dicom_series(tmp_path / "s", volume)
    before = image_digits([tmp_path / "s"])
    (tmp_path / "s/organs.nii").write_bytes(b"beside the images")
    assert image_digits([tmp_path / "s"]) == before
    write_dicom_series(tmp_path / "s", volume, uid_suffix="2")
    uids = ["1.2.826.0.1.3680043.10.2.1", "1.2.826.0.1.3680043.10.2.2"]
    assert image_digits([tmp_path / "s"], uids[0]) == before != image_digits([tmp_path / "s"], uids[1])


def test_no_choice_has_no_digits():
    assert choice_digits({"organs": [], "tta": False, "frame": 0}) == ""
    assert (
        choice_digits({"organs": ["liver"], "tta": False}) == choice_digits({"tta": False, "organs": ["liver"]}) != ""
    )
