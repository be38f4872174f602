"""DICOM SEG of images in any character set, with colours, checked before the computation; damaged ones are refused."""

import copy
import logging
import traceback
import warnings
from dataclasses import replace

import numpy as np
import pytest

from helpers.dicom_series import edited_series, whole_numbered_volume, write_dicom_series
from helpers.volumes import oblique_directions
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError, OutputError
from LiverMRISegLib.io import check_segmentation_target, read_labelmap, read_volume, write_segmentation
from LiverMRISegLib.io.dicom.colors import cielab
from LiverMRISegLib.io.dicom.quiet import reason_without_quotes
from LiverMRISegLib.volume import Volume, resample

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")
LABELS = np.zeros(whole_numbered_volume().array.shape, np.uint8)
LABELS[2:5, 3:9, 4:10], LABELS[6, 5, 5] = 1, 3


def written(tmp_path, folder):
    volume = read_volume(folder)
    check_segmentation_target(tmp_path / "m.dcm", volume)
    write_segmentation(tmp_path / "m.dcm", LABELS, CHAOS, volume.geometry, source=volume)
    return tmp_path / "m.dcm"


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
    ],
)
def test_names_in_any_character_set(tmp_path, declared, name):
    def rename(data, _):
        data.SpecificCharacterSet, data.PatientName = declared, name

    path = written(tmp_path, edited_series(tmp_path / "s", rename))
    data = pydicom.dcmread(path)
    assert data.SpecificCharacterSet == "ISO_IR 192"
    assert str(data.PatientName) == name
    back = read_labelmap(path)
    assert back.metadata["segments"] == {1: "Liver", 2: "Left kidney"}
    assert (back.array == 1).sum() == (LABELS == 1).sum()


def test_segments_have_the_colours_of_their_organs(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    segments = pydicom.dcmread(written(tmp_path, tmp_path / "s")).SegmentSequence
    for segment, value in zip(segments, (1, 3), strict=True):
        color = highdicom.color.CIELabColor.from_dicom_value(list(segment.RecommendedDisplayCIELabValue)).to_rgb()
        assert np.allclose(color, CHAOS[value].color, atol=3)
    assert cielab((255, 255, 255))[0] == 65535
    assert cielab((0, 0, 0))[0] == 0


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_what_allows_no_dicom_seg_is_said_before_the_computation(tmp_path, keyword, is_empty):
    def remove(data, _):
        if is_empty:
            data[keyword].value = ""
        else:
            del data[keyword]

    volume = read_volume(edited_series(tmp_path / "s", remove))
    with pytest.raises(OutputError, match=f"no {keyword}, a DICOM SEG needs it; write .seg.nrrd"):
        check_segmentation_target(tmp_path / "m.dcm", volume)


@pytest.mark.parametrize("is_empty", [False, True])
def test_images_that_do_not_say_how_thick_their_slices_are(tmp_path, is_empty):
    def change(data, _):
        data.SliceThickness = None
        if not is_empty:
            del data.SliceThickness

    folder = edited_series(tmp_path / "s", change)
    shared = pydicom.dcmread(written(tmp_path, folder)).SharedFunctionalGroupsSequence[0]
    thickness = float(shared.PixelMeasuresSequence[0].SliceThickness)
    assert thickness == pytest.approx(read_volume(folder).geometry.spacing[2])


def test_the_attribute_that_a_library_misses_is_named():
    """It quotes names of classes and attributes as it quotes values: only keywords of DICOM are passed on."""
    with pytest.raises(AttributeError) as raised:
        _ = pydicom.Dataset().PixelMeasuresSequence
    assert reason_without_quotes(raised.value) == "there is no PixelMeasuresSequence"
    assert reason_without_quotes(AttributeError("no 'SECRET'", name="SECRET")) == "no '...'"


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, -1])
def test_a_truncated_dicom_seg_is_refused(tmp_path, kept):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    path = written(tmp_path, tmp_path / "s")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else -20])
    with pytest.raises(InputError) as raised:
        read_labelmap(path)
    assert str(raised.value).isprintable()


def test_source_files_without_preamble(tmp_path):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    for file in (tmp_path / "s").iterdir():
        data = pydicom.dcmread(file)
        bare = pydicom.Dataset()
        bare.update({element.tag: element for element in data})
        pydicom.dcmwrite(file, bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (read_labelmap(written(tmp_path, tmp_path / "s")).array == 1).sum() == (LABELS == 1).sum()


@pytest.mark.parametrize("decimals", [0, 1])
def test_rounded_places_make_a_regular_volume(tmp_path, decimals):
    """highdicom itself finds a volume in the file, on the grid of the mask."""

    def rounded(data, _):
        data.ImagePositionPatient = [
            f"{np.floor(float(v) * 10**decimals + 0.5) / 10**decimals:g}" for v in data.ImagePositionPatient
        ]

    volume = whole_numbered_volume()
    spacing = (*volume.geometry.spacing[:2], 2.37)
    folder = edited_series(
        tmp_path / "s", rounded, volume=Volume(volume.array, replace(volume.geometry, spacing=spacing))
    )
    path, image = written(tmp_path, folder), read_volume(folder)
    assert image.geometry.spacing[2] == pytest.approx(2.37, abs=0.1)
    found = highdicom.seg.segread(path).get_volume(combine_segments=True)
    assert found.spacing[0] == pytest.approx(image.geometry.spacing[2], abs=1e-4)
    back = resample(read_labelmap(path), image.geometry, nearest=True)
    assert np.array_equal(back.array > 0, LABELS > 0)


def test_directions_of_two_decimals(tmp_path):
    direction = oblique_directions()[0]

    def rounded(data, _):
        data.ImageOrientationPatient = [f"{float(v):.2f}" for v in data.ImageOrientationPatient]

    path = written(tmp_path, edited_series(tmp_path / "s", rounded, volume=whole_numbered_volume(direction)))
    assert highdicom.seg.segread(path).get_volume(combine_segments=True).spatial_shape[1:] == LABELS.shape[1:]


def test_no_message_of_a_library_quotes_the_file(tmp_path, caplog):
    """pydicom logs and quotes values that break the standard, whatever they are."""

    def spoil(data, _):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data.PatientID, data.AccessionNumber, data.StudyInstanceUID = "SECRET" * 20, "SECRET" * 9, "1.2.SECRET"

    path = written(tmp_path, edited_series(tmp_path / "s", spoil))
    read_labelmap(path)
    data = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.add_new("FrameOfReferenceUID", "UI", "1.2.SECRET")
        data.SegmentSequence[0].SegmentLabel, data.BitsAllocated = "SECRET" * 20, 1
        del data.SegmentSequence[0].SegmentAlgorithmType
        data.save_as(tmp_path / "odd.dcm")
    caplog.clear()
    with pytest.raises(InputError) as error:
        read_labelmap(tmp_path / "odd.dcm")
    assert not caplog.records
    assert "SECRET" not in "".join(traceback.format_exception(error.value))
    assert logging.getLogger("pydicom").isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("change", [{"Rows": -1}, {"Rows": 1}, {"NumberOfFrames": -1}])
def test_a_dicom_seg_of_other_pixels_than_announced(tmp_path, change):
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    data = pydicom.dcmread(written(tmp_path, tmp_path / "s"))
    for keyword, difference in change.items():
        data[keyword].value += difference
    data.PerFrameFunctionalGroupsSequence = data.PerFrameFunctionalGroupsSequence[: data.NumberOfFrames]
    data.save_as(tmp_path / "odd.dcm")
    with pytest.raises(InputError, match=r"contains more pixels than|lacks part of its pixels"):
        read_labelmap(tmp_path / "odd.dcm")


def test_the_background_of_a_label_map_is_not_a_segment(tmp_path):
    """dcmqi describes it as segment 0."""
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    sources = [pydicom.dcmread(path) for path in sorted((tmp_path / "s").iterdir())]
    described = pydicom.dcmread(written(tmp_path, tmp_path / "s")).SegmentSequence
    segments = [highdicom.seg.SegmentDescription.from_dataset(segment) for segment in described]
    made = highdicom.seg.Segmentation(
        sources, (LABELS > 0).astype(np.uint8) + (LABELS > 1), "LABELMAP", segments, highdicom.UID(), 9,
        highdicom.UID(), 1, "M", "X", "1", "1",
    )  # fmt: skip
    made.SegmentSequence = [copy.deepcopy(made.SegmentSequence[0]), *made.SegmentSequence]
    made.SegmentSequence[0].SegmentNumber, made.SegmentSequence[0].SegmentLabel = 0, "Background"
    made.save_as(tmp_path / "labelmap.dcm")
    back = read_labelmap(tmp_path / "labelmap.dcm")
    assert back.metadata["segments"] == {1: "Liver", 2: "Left kidney"}
    assert (back.array == 1).sum() == (LABELS == 1).sum()
