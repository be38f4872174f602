"""DICOM folders: one series, several, none, incomplete; and DICOM SEG."""

import numpy as np
import pytest
from conftest import all_directions, make_volume, oblique_directions, write_dicom_series

from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import find_volumes, is_dicom_folder, list_series, read_volume, write_segmentation
from LiverMRISegLib.volume import Volume

pytest.importorskip("pydicom")
# Directions with a right-handed set of axes: slices are stacked along the normal.
PROPER = [d for d in all_directions() + oblique_directions() if np.linalg.det(d) > 0]


def series(direction=None):
    volume = make_volume(direction)
    return Volume(volume.array.astype(np.uint16).astype(np.float32), volume.geometry)


@pytest.mark.parametrize("number", range(0, len(PROPER), 3))
def test_a_series_is_read_in_place(tmp_path, number):
    volume = series(PROPER[number])
    write_dicom_series(tmp_path / "s", volume)
    back = read_volume(tmp_path / "s")
    assert back.geometry.is_close(volume.geometry, 1e-2)
    assert np.array_equal(back.array.astype(np.float32), volume.array)
    assert back.metadata["modality"] == "MR"
    assert back.metadata["series description"] == "T2 axial"


def test_no_name_of_a_patient_is_kept(tmp_path):
    write_dicom_series(tmp_path / "s", series())
    assert "ecret" not in repr(read_volume(tmp_path / "s").metadata)


def test_several_series_are_listed_and_one_is_chosen(tmp_path):
    write_dicom_series(tmp_path, series(), uid_suffix="1")
    write_dicom_series(tmp_path, series(), uid_suffix="2", description="T1 in phase")
    found = list_series(tmp_path)
    assert [s.number for s in found] == [1, 2]
    with pytest.raises(InputError, match=r"--series.*T1 in phase, MR, 12 images"):
        read_volume(tmp_path)
    chosen = read_volume(tmp_path, series=found[1].uid)
    assert chosen.metadata["series description"] == "T1 in phase"
    with pytest.raises(InputError, match=r"holds no series 1\.2\.3"):
        read_volume(tmp_path, series="1.2.3")


def test_missing_slices_are_named(tmp_path):
    write_dicom_series(tmp_path / "s", series(), skip=(5, 6))
    with pytest.raises(InputError, match=r"lacks about 2 slice\(s\) between 47\.0 mm and 59\.0 mm"):
        read_volume(tmp_path / "s")


def test_two_images_at_one_place(tmp_path):
    volume = series()
    write_dicom_series(tmp_path / "s", volume)
    import pydicom

    first = sorted((tmp_path / "s").iterdir())[0]
    data = pydicom.dcmread(first)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1.1.99"
    data.save_as(tmp_path / "s" / "twice.dcm")
    with pytest.raises(InputError, match="several images at one place"):
        read_volume(tmp_path / "s")


def test_folders_without_images(tmp_path):
    with pytest.raises(InputError, match="no DICOM image"):
        read_volume(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="no DICOM image"):
        read_volume(tmp_path)
    assert not is_dicom_folder(tmp_path)


def test_dicom_folders_are_found_among_volumes(tmp_path):
    write_dicom_series(tmp_path / "study", series())
    assert [p.name for p in find_volumes(tmp_path)] == ["study"]


def test_a_series_can_only_be_chosen_in_a_folder(tmp_path):
    (tmp_path / "v.nii").write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file"):
        read_volume(tmp_path / "v.nii", series="1")


def test_dicom_seg_refers_to_its_images_and_lies_on_them(tmp_path):
    highdicom = pytest.importorskip("highdicom")
    write_dicom_series(tmp_path / "s", series(oblique_directions()[0]))
    volume = read_volume(tmp_path / "s")
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:5, 3:9, 4:10], labels[6, 5, 5] = 1, 3
    write_segmentation(tmp_path / "seg.dcm", labels, CHAOS, volume.geometry, source=volume)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    descriptions = [seg.get_segment_description(n) for n in seg.segment_numbers]
    assert [d.segment_label for d in descriptions] == ["Liver", "Left kidney"]
    assert descriptions[0].segmented_property_type.value == "10200004"
    back = seg.get_volume(combine_segments=True)
    for value, number in ((1, 1), (3, 2)):
        ours = {tuple(np.round(volume.geometry.world_of(p[::-1]), 2)) for p in np.argwhere(labels == value)}
        points = back.map_indices_to_reference(np.argwhere(back.array == number))
        assert {tuple(np.round(p, 2)) for p in points} == ours


def test_dicom_seg_needs_dicom_images(tmp_path):
    volume = make_volume()
    with pytest.raises(UsageError, match="refers to DICOM images"):
        write_segmentation(tmp_path / "s.dcm", np.ones(volume.array.shape, np.uint8), CHAOS, volume.geometry)
    assert not list(tmp_path.iterdir())
