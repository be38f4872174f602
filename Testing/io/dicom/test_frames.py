"""One DICOM file with all slices (Enhanced MR): frames in any order, in place; a DICOM SEG refers to them."""

import sys

import numpy as np
import pytest

from helpers.dicom_series import dicom_item as item
from helpers.dicom_series import write_enhanced as enhanced
from helpers.volumes import make_volume, oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.io import check_segmentation_target, find_volumes, read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.volume import Volume, resample

pydicom = pytest.importorskip("pydicom")
SHUFFLED = [3, 1, 2, 0, 5, 4, 7, 6, 9, 8, 11, 10]


def volume_of(direction=None):
    if direction is not None and np.linalg.det(direction) < 0:
        direction = -direction
    made = make_volume(direction)
    return Volume(made.array.astype(np.uint16), made.geometry)


@pytest.mark.parametrize("order", [range(12), range(11, -1, -1), SHUFFLED], ids=["up", "down", "shuffled"])
@pytest.mark.parametrize("direction", [None, *oblique_directions()[:2]], ids=["axial", "oblique", "other"])
def test_frames_are_read_in_place_and_segmented_in_place(tmp_path, order, direction):
    made = volume_of(direction)
    folder = enhanced(tmp_path / "s", made, order)
    for path in (folder, folder / "frames.dcm"):
        volume = read_volume(path)
        assert volume.geometry.is_close(made.geometry, 1e-3)
        assert np.array_equal(volume.array, made.array)
        assert volume.metadata["series description"] == "T2 axial"
    pytest.importorskip("highdicom")
    labels = np.random.default_rng(0).integers(0, 5, volume.array.shape).astype(np.uint8)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    back = read_labelmap(tmp_path / "m.dcm")
    assert np.array_equal(resample(back, volume.geometry, nearest=True).array, labels)
    assert find_volumes(tmp_path) == [folder]


@pytest.mark.parametrize("shared", [False, True])
def test_every_frame_keeps_its_own_scale(tmp_path, shared):
    slopes = np.where(np.arange(12) % 2, 0.25, 1.5)

    def scale(data):
        for group, slope in zip(data.PerFrameFunctionalGroupsSequence, slopes, strict=True):
            group.PixelValueTransformationSequence = [item(RescaleSlope=str(slope), RescaleIntercept="-3")]
        if shared:
            group = data.PerFrameFunctionalGroupsSequence[0]
            data.SharedFunctionalGroupsSequence[
                0
            ].PixelValueTransformationSequence = group.PixelValueTransformationSequence
            for group in data.PerFrameFunctionalGroupsSequence:
                del group.PixelValueTransformationSequence

    made = volume_of()
    expected = made.array * (slopes[0] if shared else slopes[:, None, None]) - 3.0
    found = read_volume(enhanced(tmp_path / "s", made, change=scale))
    assert found.array.dtype == np.float32
    assert np.allclose(found.array, expected)


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "0"])
def test_a_frame_of_an_impossible_scale(tmp_path, value):
    def scale(data):
        wrong = item()
        wrong.add(pydicom.DataElement(0x00281053, "LO", value))
        data.PerFrameFunctionalGroupsSequence[4].PixelValueTransformationSequence = [wrong]

    with pytest.raises(InputError, match="rescale slope or intercept is 0 or not a number"):
        read_volume(enhanced(tmp_path / "s", volume_of(), change=scale))


@pytest.mark.parametrize("value", ["nan", "abc", "1e400", "7\\8"])
def test_a_frame_without_a_sound_position(tmp_path, value):
    def place(data):
        wrong = item()
        wrong.add(pydicom.DataElement(0x00200032, "LO", value.replace("\\\\", "\\") + "\\0\\0"))
        data.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence = [wrong]

    with pytest.raises(InputError, match="gives no position"):
        read_volume(enhanced(tmp_path / "s", volume_of(), change=place))


def test_what_some_scanners_give_frame_by_frame(tmp_path):
    """highdicom wants directions and pixel spacing in the groups that all frames share."""
    pytest.importorskip("highdicom")

    def spread(data):
        shared = data.SharedFunctionalGroupsSequence[0]
        for group in data.PerFrameFunctionalGroupsSequence:
            group.update(shared)
        del data.SharedFunctionalGroupsSequence

    volume = read_volume(enhanced(tmp_path / "s", volume_of(), SHUFFLED, spread))
    check_segmentation_target(tmp_path / "m.dcm", volume)
    labels = np.random.default_rng(0).integers(0, 5, volume.array.shape).astype(np.uint8)
    write_segmentation(tmp_path / "m.dcm", labels, CHAOS, volume.geometry, source=volume)
    back = read_labelmap(tmp_path / "m.dcm")
    assert np.array_equal(resample(back, volume.geometry, nearest=True).array, labels)


def put_together(folder, parts):
    """One series of several Enhanced files, of the frames of each of `parts`."""
    folder.mkdir()
    for number, part in enumerate(parts):

        def rename(data, number=number):
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.5.{number + 1}"

        made = enhanced(folder.parent / f"part {number}", volume_of(), part, rename)
        (made / "frames.dcm").rename(folder / f"{number:02d}.dcm")
    return folder


@pytest.mark.parametrize("parts", [[[n] for n in SHUFFLED], [range(5), range(5, 12)]], ids=["one each", "two slabs"])
def test_enhanced_files_that_make_a_volume_together(tmp_path, parts):
    found = read_volume(put_together(tmp_path / "s", parts))
    assert np.array_equal(found.array, volume_of().array)
    assert found.geometry.is_close(volume_of().geometry, 1e-3)
    pytest.importorskip("highdicom")
    with pytest.raises(OutputError, match=r"one Enhanced file only; write \.seg\.nrrd"):
        check_segmentation_target(tmp_path / "m.dcm", found)


def test_enhanced_files_that_are_volumes_of_their_own(tmp_path):
    folder = put_together(tmp_path / "s", [range(12)] * 3)
    with pytest.raises(InputError, match=r"3 volumes that differ in file \(00\.dcm; 01\.dcm; 02\.dcm\)"):
        read_volume(folder)
    assert np.array_equal(read_volume(folder, frame=2).array, volume_of().array)
    assert np.array_equal(read_volume(folder / "01.dcm").array, volume_of().array)


def test_missing_frames_are_named(tmp_path):
    folder = enhanced(tmp_path / "s", volume_of(), [0, 1, 2, 3, 4, 7, 8, 9, 10, 11])
    with pytest.raises(InputError, match=r"lacks about 2 slice\(s\) between 47\.0 mm and 59\.0 mm"):
        read_volume(folder)


def test_frames_without_places(tmp_path):
    def without(data):
        del data.PerFrameFunctionalGroupsSequence

    with pytest.raises(InputError, match="gives no place for its 12 frames"):
        read_volume(enhanced(tmp_path / "s", volume_of(), change=without))


def test_a_result_is_not_an_image(tmp_path):
    pytest.importorskip("highdicom")
    volume = read_volume(enhanced(tmp_path / "s", volume_of()))
    write_segmentation(tmp_path / "m.dcm", np.ones(volume.array.shape, np.uint8), CHAOS, volume.geometry, source=volume)
    with pytest.raises(InputError, match="give the image instead"):
        read_volume(tmp_path / "m.dcm")


def test_reading_needs_no_pydicom(tmp_path, monkeypatch):
    folder = enhanced(tmp_path / "s", volume_of())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert np.array_equal(read_volume(folder).array, volume_of().array)
