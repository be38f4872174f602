"""DICOM SEG: written on the images it segments, and read back in place."""

import numpy as np
import pytest

from helpers.dicom_series import edited_series as edited
from helpers.dicom_series import whole_numbered_volume as series
from helpers.dicom_series import write_dicom_series
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.volume import resample


@pytest.mark.parametrize("keyword", ["PatientName", "StudyID", "AccessionNumber", "StudyDate"])
def test_dicom_seg_of_images_without_names(tmp_path, keyword):
    pytest.importorskip("highdicom")
    volume = read_volume(edited(tmp_path / "s", lambda data, _: delattr(data, keyword)))
    labels = np.ones(volume.array.shape, np.uint8)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    assert (read_labelmap(tmp_path / "m.dcm").array == 1).all()


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_dicom_seg_needs_what_names_its_images(tmp_path, keyword):
    pytest.importorskip("highdicom")
    volume = read_volume(edited(tmp_path / "s", lambda data, _: delattr(data, keyword)))
    labels = np.ones(volume.array.shape, np.uint8)
    with pytest.raises(OutputError, match=rf"{keyword}.*write \.seg\.nrrd"):
        write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    assert not (tmp_path / "m.dcm").exists()


@pytest.mark.parametrize("direction", [np.eye(3), *oblique_directions()], ids=range(5))
def test_dicom_seg_is_read_back_in_place(tmp_path, direction):
    pytest.importorskip("highdicom")
    write_dicom_series(tmp_path / "s", series(direction if np.linalg.det(direction) > 0 else -direction))
    volume = read_volume(tmp_path / "s")
    labels = np.random.default_rng(0).integers(0, 5, volume.array.shape).astype(np.uint8)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    back = read_labelmap(tmp_path / "m.dcm")
    assert back.metadata["segments"] == {value: organ.title for value, organ in CHAOS.items()}
    turned = resample(back, volume.geometry, nearest=True)
    assert np.array_equal(turned.array, labels)


def test_what_is_not_a_dicom_seg_is_not_a_label_map(tmp_path):
    pytest.importorskip("highdicom")
    write_dicom_series(tmp_path, series())
    with pytest.raises(InputError, match="not a DICOM SEG"):
        read_labelmap(sorted(tmp_path.iterdir())[0])


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
    with pytest.raises(OutputError, match="refers to DICOM images"):
        write_segmentation(tmp_path / "s.dcm", np.ones(volume.array.shape, np.uint8), CHAOS, volume.geometry)
    assert not list(tmp_path.iterdir())
