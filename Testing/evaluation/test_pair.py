"""Predictions and references as programs save them: named segments, boxes around them, other axes."""

import logging

import numpy as np
import pytest

from helpers.corrected_masks import rename, write_segments
from helpers.dicom_series import whole_numbered_volume, write_dicom_series
from helpers.tiny_data import SHAPE, write_scan
from LiverMRISegLib.anatomy import CHAOS, LIVER, SPLEEN, LabelSet, structure_named
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.evaluation import cohort
from LiverMRISegLib.evaluation.cohort import evaluate_cohort
from LiverMRISegLib.evaluation.pair import read_pair
from LiverMRISegLib.io import read_volume, write_segmentation, write_volume
from LiverMRISegLib.volume import Volume, reorient

BOX = (2, 8, 3, 13, 2, 11)


@pytest.fixture
def image(tmp_path):
    return write_scan(tmp_path, "a", "T2WI", 1)[0]


def truth():
    """The liver and the spleen of `write_segments` by their values in CHAOS, on the whole grid."""
    array = np.zeros(SHAPE, np.uint8)
    array[2:8, 3:13, 2:6], array[2:8, 3:13, 7:11] = 1, 4
    return array


def folders(tmp_path):
    places = tmp_path / "p", tmp_path / "r"
    for place in places:
        place.mkdir()
    return places


def dice(predictions, references):
    (case,) = evaluate_cohort(predictions, references, CHAOS, CHAOS)
    assert not case.error
    return {organ.organ: organ.dsc for organ in case.scores}


def test_segments_of_slicer_are_what_their_names_say_and_where_they_are(tmp_path, image):
    predictions, references = folders(tmp_path)
    write_segments(references / "a.seg.nrrd", image, BOX)
    write_volume(Volume(truth(), read_volume(image).geometry), predictions / "a_seg.nii.gz")
    assert dice(predictions, references) == {"liver": 1.0, "spleen": 1.0}
    assert dice(references, predictions) == {"liver": 1.0, "right kidney": 1.0, "left kidney": 1.0, "spleen": 1.0}


@pytest.mark.parametrize("other", [(3, 9, 3, 13, 2, 11), (2, 8, 1, 14, 2, 11), (4, 7, 5, 9, 2, 11)])
def test_two_boxes_around_segments_are_compared_where_they_are(tmp_path, image, other):
    """Voxels beyond the other's box are wrong ones, not lost ones."""
    predictions, references = folders(tmp_path)
    write_segments(references / "a.seg.nrrd", image, BOX)
    write_segments(predictions / "a.seg.nrrd", image, other)
    first, second = ({(z, y) for z in range(*b[:2]) for y in range(*b[2:4])} for b in (BOX, other))
    expected = pytest.approx(2 * len(first & second) / (len(first) + len(second)), abs=1e-6)
    assert dice(predictions, references) == {"liver": expected, "spleen": expected}


def test_a_box_beyond_the_other_grid_is_refused(tmp_path, image):
    predictions, references = folders(tmp_path)
    write_segments(predictions / "a.seg.nrrd", image, BOX)
    geometry = read_volume(image).geometry
    half = geometry.cropped((0, 0, 0), (geometry.size[0], geometry.size[1], 6))
    write_volume(Volume(truth()[:6], half), references / "a.nii.gz")
    (case,) = evaluate_cohort(predictions, references, CHAOS, CHAOS)
    assert "are not on the same grid" in case.error


def test_an_organ_that_a_prediction_does_not_name_was_missed(tmp_path, image):
    predictions, references = folders(tmp_path)
    geometry = read_volume(image).geometry
    write_segmentation(predictions / "a.seg.nrrd", truth() // 4, LabelSet("own", {1: SPLEEN}), geometry)
    write_volume(Volume(truth(), geometry), references / "a_label.nii.gz")
    assert dice(predictions, references) == {"liver": 0.0, "right kidney": 1.0, "left kidney": 1.0, "spleen": 1.0}


def test_a_structure_that_is_not_ours_is_one_whatever_its_value_and_spelling(tmp_path, image, caplog):
    """As a model of nnU-Net has it, and as .seg.nrrd writes it: "Tumour", numbered by whoever drew it."""
    predictions, references = folders(tmp_path)
    geometry = read_volume(image).geometry
    model = LabelSet("model", {1: LIVER, 4: structure_named("tumour", 4)})
    drawn = LabelSet("drawn", {1: structure_named("Tumour", 1), 2: LIVER})
    write_segmentation(predictions / "a.nii.gz", truth(), model, geometry)
    write_segmentation(references / "a.seg.nrrd", np.array([0, 2, 0, 0, 1], np.uint8)[truth()], drawn, geometry)
    for pair in ((predictions, references), (references, predictions)):
        (case,) = evaluate_cohort(*pair, model, model)
        assert sorted((organ.organ, organ.dsc) for organ in case.scores) == [("liver", 1.0), ("tumour", 1.0)]
    assert caplog.text == ""


def test_segments_that_nobody_named_mean_what_the_label_set_says(tmp_path, image):
    path = tmp_path / "a.seg.nrrd"
    write_segments(path, image, BOX, (1, 4))
    rename(path, Liver="Segment_1", Spleen="Segment_2", coded=False)
    assert read_pair(path, path, CHAOS, CHAOS)[2:] == (CHAOS, CHAOS)


def test_a_name_that_no_organ_has_is_warned_of(tmp_path, image, caplog):
    path = tmp_path / "a.seg.nrrd"
    write_segments(path, image, BOX)
    rename(path, Liver="Leber", coded=False)
    with caplog.at_level(logging.WARNING, "LiverMRISegLib"):
        meaning = read_pair(path, path, CHAOS, CHAOS)[2]
    assert {organ.name for organ in meaning.organs} >= {"liver", "Leber"}
    assert "a.seg.nrrd: not compared, since CHAOS lacks it: Leber" in caplog.text


def test_two_segments_of_one_name_are_refused(tmp_path, image):
    path = tmp_path / "a.seg.nrrd"
    write_segments(path, image, BOX)
    rename(path, Spleen="Liver", coded=False)
    with pytest.raises(InputError, match=r"a\.seg\.nrrd: its segments cannot be told apart"):
        read_pair(path, path, CHAOS, CHAOS)


def test_an_organ_by_another_name_is_compared_by_its_terminology(tmp_path, image, caplog):
    """As a copy of it is not: nobody knows which of the two it is then."""
    path, other = tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd"
    write_segments(path, image, BOX)
    write_segments(other, image, BOX)
    rename(other, Liver="Leber", Spleen="Segment_1")
    with caplog.at_level(logging.WARNING, "LiverMRISegLib"):
        predicted, referred = read_pair(path, other, CHAOS, CHAOS)[2:]
    assert {organ.name for organ in referred.organs} == {"liver", "spleen"}
    assert predicted.value_of(LIVER) == referred.value_of(LIVER)
    assert "b.seg.nrrd: takes 'Segment_1' for spleen, 'Leber' for liver, as the terminology" in caplog.text


def test_a_name_that_contradicts_the_terminology_is_refused(tmp_path, image):
    path = tmp_path / "a.seg.nrrd"
    write_segments(path, image, BOX)
    rename(path, Spleen="Liver", Liver="Spleen")
    said = r"a\.seg\.nrrd: its segment 'Liver' is called so, but is spleen by its terminology; let both say the same"
    with pytest.raises(InputError, match=said):
        read_pair(path, path, CHAOS, CHAOS)


def test_masks_with_other_axes_are_compared_and_warned_of_in_the_patient(tmp_path, image, caplog):
    predictions, references = folders(tmp_path)
    geometry = read_volume(image).geometry
    kidneys = np.array([0, 2, 0, 0, 3], np.uint8)[truth()]
    write_volume(Volume(kidneys, geometry), references / "a.nii.gz")
    swapped = np.array([0, 0, 3, 2], np.uint8)[kidneys]
    for array, said in ((kidneys, 1.0), (swapped, 0.0)):
        write_volume(reorient(Volume(array, geometry), "SRA"), predictions / "a_seg.nii.gz")
        caplog.clear()
        with caplog.at_level(logging.WARNING, "LiverMRISegLib"):
            assert dice(predictions, references) == {
                "liver": 1.0, "right kidney": said, "left kidney": said, "spleen": 1.0,
            }  # fmt: skip
        assert ("100 % of the right kidney is called the other side's" in caplog.text) == (said == 0)


def test_images_beside_the_label_maps_are_not_taken_for_these(tmp_path, image):
    predictions, references = folders(tmp_path)
    volume = read_volume(image)
    mask = Volume(truth(), volume.geometry)
    for ending in ("nii.gz", "mha"):
        write_volume(volume, references / f"a.{ending}")
    write_volume(mask, references / "a_label.nii.gz")
    write_volume(volume, predictions / "a.nii.gz")
    write_segmentation(predictions / "a.seg.nrrd", mask.array, CHAOS, mask.geometry)
    assert set(dice(predictions, references).values()) == {1.0}
    write_volume(mask, references / "a_seg.nii.gz")
    with pytest.raises(InputError, match=r"r: a_label\.nii\.gz and a_seg\.nii\.gz are both of case 'a'; keep one"):
        dice(predictions, references)


def test_an_unexpected_error_stays_in_its_case(tmp_path, image, monkeypatch):
    predictions, references = folders(tmp_path)
    for place in (predictions, references):
        for name in ("a", "b"):
            write_volume(Volume(truth(), read_volume(image).geometry), place / f"{name}.nii.gz")

    def once(*_):
        monkeypatch.setattr(cohort, "read_pair", read_pair)
        raise MemoryError("too large")

    monkeypatch.setattr(cohort, "read_pair", once)
    cases = list(evaluate_cohort(predictions, references, CHAOS, CHAOS))
    assert [case.error for case in cases] == ["MemoryError: too large", ""]
    assert cases[1].scores


def test_dicom_seg_is_compared_by_its_names_whatever_the_order_of_axes(tmp_path):
    pytest.importorskip("highdicom")
    predictions, references = folders(tmp_path)
    write_dicom_series(tmp_path / "series", whole_numbered_volume())
    source = read_volume(tmp_path / "series")
    labels = np.zeros(source.array.shape, np.uint8)
    labels[2:8, 3:9, 2:6], labels[2:6, 3:13, 7:11] = 1, 4
    write_segmentation(predictions / "a_seg.dcm", labels, CHAOS, source.geometry, source=source)
    write_volume(reorient(Volume(labels, source.geometry), "RAS"), references / "a.nii.gz")
    (predictions / "a_seg_sr.dcm").write_bytes(next((tmp_path / "series").iterdir()).read_bytes())
    assert {organ: dice(predictions, references)[organ] for organ in ("liver", "spleen")} == {"liver": 1, "spleen": 1}
    assert dice(references, predictions) == {"liver": 1, "spleen": 1}


@pytest.mark.parametrize("kept", [0, 600])
def test_a_damaged_dicom_seg_is_not_passed_over(tmp_path, kept):
    pytest.importorskip("highdicom")
    predictions, references = folders(tmp_path)
    write_dicom_series(tmp_path / "series", whole_numbered_volume())
    source = read_volume(tmp_path / "series")
    for place in (predictions, references):
        write_segmentation(
            place / "a.dcm", np.ones(source.array.shape, np.uint8), CHAOS, source.geometry, source=source
        )
    (references / "a.dcm").write_bytes((references / "a.dcm").read_bytes()[:kept])
    (case,) = evaluate_cohort(predictions, references, CHAOS, CHAOS)
    assert "a.dcm" in case.error


def test_values_without_a_meaning_are_said(tmp_path, image, caplog):
    predictions, references = folders(tmp_path)
    geometry = read_volume(image).geometry
    write_volume(Volume(truth(), geometry), predictions / "a.nii.gz")
    write_volume(Volume(truth() * 10, geometry), references / "a.nii.gz")
    dice(predictions, references)
    assert [record.getMessage() for record in caplog.records] == [
        f"{references / 'a.nii.gz'}: not compared, since CHAOS does not have these values: 10, 40"
    ]


def test_a_folder_is_not_its_own_reference(tmp_path, image):
    predictions, _ = folders(tmp_path)
    write_volume(Volume(truth(), read_volume(image).geometry), predictions / "a.nii.gz")
    with pytest.raises(UsageError, match="is the folder of the predictions too"):
        dice(predictions, tmp_path / "r" / ".." / "p")
