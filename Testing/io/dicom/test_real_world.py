"""What the stored values of a map mean (Real World Value Mapping); and DICOM SEG that no label map can be made of."""

import numpy as np
import pytest

pytest.importorskip("pydicom")

from helpers.dicom_series import dicom_item, edited_series, whole_numbered_volume, write_dicom_series, write_enhanced
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_map, read_volume, write_segmentation
from LiverMRISegLib.volume import Volume

STORED = whole_numbered_volume().array


def mapping(slope=0.5, intercept=-3.0, unit="ms", **others):
    units = [dicom_item(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)]
    values = {"RealWorldValueSlope": slope, "RealWorldValueIntercept": intercept} if slope is not None else {}
    return dicom_item(
        **values, RealWorldValueFirstValueMapped=0, RealWorldValueLastValueMapped=4095, LUTLabel="map",
        LUTExplanation="", MeasurementUnitsCodeSequence=units, **others,
    )  # fmt: skip


def mapped(folder, *items, only=None, rescale=("2", "1")):
    def change(data, number):
        data.RescaleSlope, data.RescaleIntercept = rescale
        if only is None or number in only:
            data.RealWorldValueMappingSequence = list(items)

    return edited_series(folder, change)


def test_a_map_has_the_values_that_its_mapping_states(tmp_path, caplog):
    folder = mapped(tmp_path / "s", mapping())
    found = read_map(folder)
    assert np.array_equal(found.array, STORED * 0.5 - 3)
    said = "the values are those of the Real World Value Mapping (ms), not of the Rescale Slope"
    assert found.metadata["notes"] == [said]
    assert f"s: {said}" in caplog.messages
    highdicom = pytest.importorskip("highdicom")
    first = sorted(folder.iterdir())[0]
    assert np.array_equal(highdicom.imread(first).get_frame(1), found.array[0])
    assert np.array_equal(read_volume(folder).array, STORED * 2 + 1)  # an image is segmented as viewers show it


def test_a_mapping_that_is_the_rescale_needs_no_word(tmp_path):
    found = read_map(mapped(tmp_path / "s", mapping(2.0, 1.0), mapping(2.0, 1.0)))
    assert np.array_equal(found.array, STORED * 2 + 1)
    assert "notes" not in found.metadata


@pytest.mark.parametrize("is_shared", [True, False])
def test_mappings_of_the_frames_of_an_enhanced_file(tmp_path, is_shared):
    def change(data):
        if is_shared:
            data.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [mapping(0.25, 0.0, "%")]
        for number, group in enumerate(data.PerFrameFunctionalGroupsSequence if not is_shared else ()):
            group.RealWorldValueMappingSequence = [mapping(0.25 * (number + 1), 0.0, "%")]

    volume = whole_numbered_volume()
    stored = Volume(volume.array.astype(np.uint16), volume.geometry)
    found = read_map(write_enhanced(tmp_path / "e", stored, change=change))
    slopes = 0.25 if is_shared else 0.25 * np.arange(1, len(STORED) + 1)[:, None, None]
    assert np.array_equal(found.array, (STORED * slopes).astype(np.float32))


@pytest.mark.parametrize(
    ("items", "only", "said"),
    [
        ([mapping(), mapping(0.0005, -0.003, "s")], None, r"states its values in 2 ways .*Mapping: ms, s\)"),
        ([mapping(0.0)], None, "gives no slope, or one that is 0 or not a number; export it again"),
        ([mapping(None)], None, "gives no slope, or one that is 0 or not a number"),
        ([mapping(None, RealWorldValueLUTData=[0.0, 1.0])], None, r"by a table \(Real World Value LUT\)"),
        ([mapping()], {0, 1}, "only some state what their values mean, or in different units"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_used_is_said(tmp_path, items, only, said):
    folder = mapped(tmp_path / "s", *items, only=only)
    with pytest.raises(InputError, match=said):
        read_map(folder)
    assert np.array_equal(read_volume(folder).array, STORED * 2 + 1)


def test_how_a_map_is_shown_does_not_change_its_values_and_padding_is_nan(tmp_path):
    """Values of an image would be turned back, and its padding as dark as the air."""

    def invert(data, _number):
        data.PhotometricInterpretation = "MONOCHROME1"

    assert np.array_equal(read_map(edited_series(tmp_path / "s", invert)).array, STORED)

    def pad(data, number):
        plane = STORED[number].astype(np.uint16)
        plane[:3] = 4095
        data.PixelData = plane.tobytes()
        data.add_new(0x00280120, "US", 4095)

    found = read_map(edited_series(tmp_path / "p", pad)).array
    assert np.isnan(found[:, :3]).all()
    assert np.array_equal(found[:, 3:], STORED[:, 3:])


@pytest.mark.parametrize(("value", "limit", "said"), [(3, None, "value 3 is"), (9, 3, "values 3 to 9 are")])
def test_padding_of_a_map_is_no_value_even_among_the_others(tmp_path, value, limit, said):
    """Of an image a low one is as dark as the air; in a mean it would count."""

    def pad(data, number):
        plane = STORED[number].astype(np.uint16)
        plane[:3] = 3
        data.PixelData = plane.tobytes()
        data.RescaleSlope, data.RescaleIntercept = "2", "-50"
        data.add_new(0x00280120, "US", value)
        if limit is not None:
            data.add_new(0x00280121, "US", limit)

    folder = edited_series(tmp_path / "p", pad)
    found = read_map(folder)
    stored = STORED.copy()
    stored[:, :3] = 3
    is_padding = (stored >= 3) & (stored <= value)
    assert np.array_equal(np.isnan(found.array), is_padding)
    assert np.array_equal(found.array[~is_padding], stored[~is_padding] * 2 - 50)
    assert said in found.metadata["notes"][0]
    assert np.array_equal(read_volume(folder).array, stored * 2 - 50)


def test_a_map_without_any_padded_voxel_needs_no_word(tmp_path):
    found = read_map(edited_series(tmp_path / "s", lambda data, _: data.add_new(0x00280120, "US", 60000)))
    assert np.array_equal(found.array, STORED)
    assert "notes" not in found.metadata


def scaled_by_philips(data, slope, scale):
    """Stored value = signal * Scale Slope; the Rescale Slope is for display."""
    data.RescaleSlope, data.RescaleIntercept = f"{slope:g}", f"{-4 * slope:g}"
    block = data.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", scale)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_signals_of_a_philips_image_are_without_its_display_scale(tmp_path, syntax):
    """(stored * slope + intercept) / (slope * scale): Chenevert et al. 2014, and what dcm2niix writes."""

    def change(data, _):
        data.file_meta.TransferSyntaxUID = syntax
        scaled_by_philips(data, 1.5, 0.25)

    folder = edited_series(tmp_path / "s", change)
    found = read_map(folder, is_signal=True)
    assert np.allclose(found.array, (STORED - 4) / 0.25)
    assert "Philips's Scale Slope" in found.metadata["notes"][0]
    assert np.allclose(read_map(folder).array, STORED * 1.5 - 6)
    assert np.allclose(read_volume(folder).array, STORED * 1.5 - 6)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_signals_of_an_enhanced_philips_image_frame_by_frame(tmp_path, syntax):
    scales = 0.25 * np.arange(1, len(STORED) + 1)

    def change(data):
        data.file_meta.TransferSyntaxUID = syntax
        for group, scale in zip(data.PerFrameFunctionalGroupsSequence, scales, strict=True):
            group.PixelValueTransformationSequence = [dicom_item(RescaleSlope="1", RescaleIntercept="0")]
            frame = dicom_item()
            frame.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", float(scale))
            for block in range(4):  # by which that of the sequence begins at 14
                group.add_new(0x20050010 + block, "LO", f"Philips MR Imaging DD 00{block + 1}")
            group.add_new(0x20050014, "LO", "Philips MR Imaging DD 005")
            group.add_new(0x2005140F, "SQ", [frame])

    volume = whole_numbered_volume()
    stored = Volume(volume.array.astype(np.uint16), volume.geometry)
    found = read_map(write_enhanced(tmp_path / "e", stored, change=change), is_signal=True)
    assert np.allclose(found.array, STORED / scales[:, None, None], rtol=1e-6)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
@pytest.mark.parametrize("kind", ["LO", "UN"])
def test_an_element_of_another_owner_with_the_tag_of_the_sequence(tmp_path, syntax, kind):
    def change(data, _):
        data.file_meta.TransferSyntaxUID = syntax
        data.add_new(0x20050014, "LO", "SOMEBODY ELSE")
        data.add_new(0x2005140F, kind, "a text" if kind == "LO" else b"a text")
        data.add_new(0x2005100E, "FL", 0.5)

    folder = edited_series(tmp_path / "s", change)
    assert np.array_equal(read_map(folder, is_signal=True).array, STORED)


@pytest.fixture
def segmented(tmp_path):
    pytest.importorskip("highdicom")
    write_dicom_series(tmp_path / "s", whole_numbered_volume())
    volume = read_volume(tmp_path / "s")
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:5, 3:9, 4:10] = 1
    write_segmentation(tmp_path / "seg.dcm", labels, CHAOS, volume.geometry, source=volume)
    return tmp_path / "seg.dcm"


def test_a_fractional_dicom_seg_says_what_to_do(segmented):
    import highdicom
    import pydicom

    whole = highdicom.seg.segread(segmented)
    sources = [pydicom.dcmread(path) for path in sorted((segmented.parent / "s").iterdir())]
    shares = np.zeros((*STORED.shape, 1))
    shares[2:5, 3:9, 4:10] = 0.4
    highdicom.seg.Segmentation(
        sources, shares, highdicom.seg.SegmentationTypeValues.FRACTIONAL, list(whole.SegmentSequence),
        highdicom.UID(), 7, highdicom.UID(), 1, "Maker", "model", "1", "1",
    ).save_as(segmented)  # fmt: skip
    with pytest.raises(
        InputError, match=r"seg\.dcm: is a fractional DICOM SEG, .*; export the segmentation as a binary"
    ):
        read_labelmap(segmented)


def test_a_big_endian_dicom_seg_says_what_to_do(segmented):
    import pydicom

    data = pydicom.dcmread(segmented)
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    pydicom.dcmwrite(segmented, data, implicit_vr=False, little_endian=False, force_encoding=True)
    said = r"seg\.dcm: is a DICOM SEG in big-endian byte order.*; convert it \(DCMTK: dcmconv \+te\) or export it again"
    with pytest.raises(InputError, match=said):
        read_labelmap(segmented)
