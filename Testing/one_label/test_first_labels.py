"""The first labels of SemiSAM-O1, on tiny volumes."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.dicom_series import write_dicom_series
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.datalist import read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, OutputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.one_label import first_labels
from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig


def test_first_labels_come_from_the_template_alone(data, tmp_path):
    listed, model, truth = data
    for path in list(truth.values())[1:]:
        path.unlink()
    config = FirstLabelsConfig(
        (listed,), template="p0", organs=("liver", "spleen"), encoder=model, levels=(1,), cache=tmp_path / "cache",
        output=tmp_path / "first",
    )  # fmt: skip
    made = read_datalist(first_labels.run(config))
    assert len(made.scans) == 5
    assert all(scan.labels is not None for scan in made.scans)
    assert np.array_equal(read_labelmap(tmp_path / "first/p0_T1WI.nii.gz").array, read_labelmap(truth["p0"]).array)
    features = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache/features").rglob("*.npy")}
    assert len(features) == 5
    labelled = (tmp_path / "first/p1_T1WI.nii.gz").stat().st_mtime_ns
    first_labels.run(config)
    assert (tmp_path / "first/p1_T1WI.nii.gz").stat().st_mtime_ns == labelled
    first_labels.run(replace(config, smooth=False))
    assert (tmp_path / "first/p1_T1WI.nii.gz").stat().st_mtime_ns > labelled
    assert {path: path.stat().st_mtime_ns for path in features} == features
    with pytest.raises(UsageError, match="not a patient with labels"):
        first_labels.run(replace(config, template="p1"))
    with pytest.raises(UsageError, match="only the template p0 and nothing to label"):
        first_labels.run(replace(config, pool=PoolConfig(patients=("p0",))))


def test_the_others_are_labelled_where_one_cannot_be_read(data, tmp_path):
    listed, model, _ = data
    bad = tmp_path / "p2_T1WI.nii.gz"
    bad.write_bytes(bad.read_bytes()[:-200])
    config = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    with pytest.raises(InputError, match=r"1 of 5 volumes cannot be used; .*:\n  .*p2_T1WI\.nii\.gz"):
        first_labels.run(config)
    made = sorted(path.name[:2] for path in (tmp_path / "first").glob("*.nii.gz"))
    assert made == ["p0", "p1", "p3", "p4"]
    assert not (tmp_path / "first/datalist.json").exists()


def test_a_dicom_folder_is_an_image_too(data, tmp_path):
    pytest.importorskip("pydicom")
    listed, model, _ = data
    volume = read_volume(tmp_path / "p1_T1WI.nii.gz")
    write_dicom_series(tmp_path / "p1", replace(volume, array=np.clip(volume.array, 0, None)))
    scans = [replace(s, image=tmp_path / "p1") if s.patient == "p1" else s for s in read_datalist(listed).scans]
    write_datalist(replace(read_datalist(listed), scans=scans), listed)
    made = first_labels.run(
        FirstLabelsConfig((listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache",
                          output=tmp_path / "first")
    )  # fmt: skip
    assert len(read_datalist(made).scans) == 5


def test_images_that_were_moved_are_found_again(data, tmp_path):
    listed, model, _ = data
    config = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    first_labels.run(config)
    labels = (tmp_path / "first/p1_T1WI.nii.gz").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    for path in [listed, *tmp_path.glob("p?_T1WI*.nii.gz")]:
        path.rename(tmp_path / "elsewhere" / path.name)
    made = first_labels.run(replace(config, datalists=(tmp_path / "elsewhere/datalist.json",)))
    assert all(scan.image.parent == tmp_path / "elsewhere" for scan in read_datalist(made).scans)
    assert (tmp_path / "first/p1_T1WI.nii.gz").read_bytes() == labels


def test_what_labels_are_made_from_is_never_replaced(data, tmp_path):
    listed, model, _ = data
    config = FirstLabelsConfig((listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache")
    made = first_labels.run(replace(config, output=tmp_path / "first"))
    for datalists, output in (((listed,), tmp_path), ((made,), tmp_path / "first")):
        with pytest.raises(OutputError, match="which the output is made from"):
            first_labels.run(replace(config, datalists=datalists, output=output))


def test_damaged_features_are_made_again(data, tmp_path, caplog):
    listed, model, _ = data
    config = FirstLabelsConfig(
        (listed,), template="p0", encoder=model, levels=(1,), cache=tmp_path / "cache", output=tmp_path / "first"
    )
    first_labels.run(config)
    kept = {path: path.read_bytes() for path in (tmp_path / "cache/features").rglob("*.npy")}
    for path, size in zip(kept, (0, 50, 200), strict=False):
        path.write_bytes(kept[path][:size])
    first_labels.run(replace(config, output=tmp_path / "second"))
    assert caplog.text.count("is damaged") == 3
    assert {path: path.read_bytes() for path in kept} == kept
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        first_labels.run(replace(config, output=tmp_path / "third", cache=tmp_path / "file"))
