"""Several images of a Dixon acquisition in one series, file or folder: each is found by its Image Type."""

import numpy as np
import pytest

from helpers.dicom_series import dicom_item, edited_series, write_enhanced, write_shared_series
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_map, read_volume
from LiverMRISegLib.volume import Volume

pytest.importorskip("pydicom")
KINDS = ("water", "fat", "in-phase", "out-of-phase")
PHILIPS = ("W", "F", "IP", "OP")
GE, SIEMENS = ("WATER", "FAT", "IN_PHASE", "OUT_PHASE"), ("WATER", "FAT", "IN_PHASE", "OPP_PHASE")


def volumes():
    made = [make_volume(size=(12, 10, 6), seed=seed) for seed in range(4)]
    return [Volume(volume.array.astype(np.uint16), volume.geometry) for volume in made]


def one_series(folder, types=tuple(["DERIVED", "PRIMARY", word, word, "DERIVED"] for word in PHILIPS), echo=None):
    def change(data, number, _):
        data.ImageType = types[number]
        if echo:
            data.EchoTime = echo[number]

    return write_shared_series(folder, volumes(), change)


# As Philips writes them; the images of two echoes may also be told apart by these.
@pytest.mark.parametrize("echo", [None, ("0", "0", "2.3", "1.15"), ("1", "2", "3", "4")])
@pytest.mark.parametrize("number", range(4))
def test_of_one_series_of_philips(tmp_path, caplog, number, echo):
    folder = one_series(tmp_path / "s", echo=echo)
    found = read_map(folder, is_signal=True, kind=KINDS[number])
    assert np.array_equal(found.array, volumes()[number].array)
    assert f"the one of Image Type DERIVED\\PRIMARY\\{PHILIPS[number]}" in caplog.text
    with pytest.raises(InputError, match="4 volumes that differ in"):
        read_map(folder)


@pytest.mark.parametrize("words", [(*GE, "FAT_FRACTION"), (*PHILIPS, "FF")])
def test_of_one_enhanced_file(tmp_path, words):
    made = [make_volume(size=(12, 10, 6), seed=seed) for seed in range(5)]
    made = [Volume(volume.array.astype(np.uint16), volume.geometry) for volume in made]

    def change(data):
        groups = data.PerFrameFunctionalGroupsSequence
        for place, group in enumerate(groups):
            kind = words[place // 6]
            group.MRImageFrameTypeSequence = [dicom_item(FrameType=["DERIVED", "PRIMARY", "DIXON", kind])]
        data.PixelData = b"".join(volume.array.tobytes() for volume in made)

    folder = write_enhanced(tmp_path / "s", made[0], [n % 6 for n in range(30)], change)
    for number, kind in enumerate((*KINDS, "PDFF")):
        for path in (folder, folder / "frames.dcm"):
            assert np.array_equal(read_map(path, kind=kind).array, made[number].array)


@pytest.mark.parametrize("words", [GE, SIEMENS])
def test_of_a_folder_with_a_series_of_each(tmp_path, words):
    folder = tmp_path / "s"
    for number, (word, volume) in enumerate(zip(words, volumes(), strict=True), start=1):

        def change(data, _, number=number, word=word):
            data.SeriesInstanceUID = f"1.2.3.{number}"
            data.ImageType = ["DERIVED", "PRIMARY", "DIXON", word]

        edited_series(tmp_path / word, change, volume=volume)
        folder.mkdir(exist_ok=True)
        for path in (tmp_path / word).iterdir():
            path.rename(folder / f"{number}_{path.name}")
    for kind, volume in zip(KINDS, volumes(), strict=True):
        assert np.array_equal(read_map(folder, kind=kind).array, volume.array)
    with pytest.raises(InputError, match="has 4 series"):
        read_map(folder, kind="pdff")
    with pytest.raises(InputError, match="has 4 series"):
        read_volume(folder)


def test_two_water_images_are_not_chosen_between(tmp_path):
    folder = one_series(tmp_path / "s", [["DERIVED", "PRIMARY", word, "M"] for word in ("W", "F", "WATER", "OP")])
    assert np.array_equal(read_map(folder, kind="fat").array, volumes()[1].array)
    with pytest.raises(InputError, match=r"4 volumes that differ in image type .*; save the one that is meant"):
        read_map(folder, kind="water")


def test_an_image_that_says_it_is_another_is_refused(tmp_path):
    def change(data, _):
        data.ImageType = ["DERIVED", "PRIMARY", "DIXON", "FAT"]

    folder = edited_series(tmp_path / "s", change)
    with pytest.raises(
        InputError, match=r"is the fat image by its Image Type \(.*\), not the water one; give it as fat"
    ):
        read_map(folder, kind="water")
    read_map(folder, kind="fat")
    read_map(folder, kind="pdff")
    read_map(folder)


def test_images_that_say_nothing_are_taken_as_they_are_given(tmp_path):
    def change(data, _):
        data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]

    assert read_map(edited_series(tmp_path / "s", change), kind="water").array.any()
