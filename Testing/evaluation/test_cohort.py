"""Cases of a cohort: their scores, the warning about swapped sides, the table of all."""

import logging

import numpy as np
import pytest

from LiverMRISegLib.anatomy import CHAOS, LEFT_KIDNEY, LIVER, RIGHT_KIDNEY
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.evaluation import cohort
from LiverMRISegLib.evaluation.cohort import CaseScores, as_markdown, pair_cases, score_case, summarise
from LiverMRISegLib.evaluation.metrics import OrganScores
from LiverMRISegLib.volume import Geometry, Volume

RIGHT, LEFT = CHAOS.value_of(RIGHT_KIDNEY), CHAOS.value_of(LEFT_KIDNEY)


def labelmap(right, left):
    """A block of liver, and a block for each kidney."""
    array = np.zeros((12, 30, 30), np.uint8)
    array[2:10, 2:10, 2:10] = CHAOS.value_of(LIVER)
    array[2:10, 15:25, 2:10], array[2:10, 15:25, 15:25] = right, left
    return Volume(array, Geometry((30, 30, 12), (1.0, 1.0, 3.0)), "case")


def test_swapped_sides_are_warned_of(caplog):
    caplog.set_level(logging.WARNING, logger="LiverMRISegLib")
    case = score_case("one", labelmap(LEFT, RIGHT), labelmap(RIGHT, LEFT), CHAOS, CHAOS)
    assert case.wrong_side == {"right kidney": 1.0, "left kidney": 1.0}
    assert "one: 100 % of the right kidney is called the other side's" in caplog.text
    assert {s.organ: s.dsc for s in case.scores}["right kidney"] == 0.0


def test_an_outline_that_is_partly_wrong_is_not_called_swapped(caplog):
    caplog.set_level(logging.WARNING, logger="LiverMRISegLib")
    partly = labelmap(RIGHT, LEFT)
    partly.array[2:10, 15:19, 2:10] = LEFT
    case = score_case("one", partly, labelmap(RIGHT, LEFT), CHAOS, CHAOS)
    assert case.wrong_side == {"right kidney": pytest.approx(0.4), "left kidney": 0.0}
    assert not caplog.records


def test_right_sides_are_not(caplog):
    caplog.set_level(logging.WARNING, logger="LiverMRISegLib")
    score_case("one", labelmap(RIGHT, LEFT), labelmap(RIGHT, LEFT), CHAOS, CHAOS)
    assert not caplog.records


def test_the_summary_of_an_organ():
    values = ((1.0, 0.2, 0.0), (0.5, 0.4, 1.0), (0.9, 0.9, 20.0))
    cases = [
        CaseScores(str(n), (OrganScores("liver", d, s, 30.0, h, h, 1.0, 1.0),)) for n, (d, s, h) in enumerate(values)
    ]
    (found,) = summarise(cases)
    assert (found.organ, found.cases, found.dsc_lowest, found.hd95_median) == ("liver", 3, 0.5, 1.0)
    assert (found.dsc_mean, found.nsd_mean, found.hd95_mean) == pytest.approx((0.8, 0.5, 7.0))
    assert (found.dsc_sd, found.nsd_sd) == pytest.approx(
        (np.std((1.0, 0.5, 0.9), ddof=1), np.std((0.2, 0.4, 0.9), ddof=1))
    )


def test_the_table_of_a_cohort():
    good = score_case("one", labelmap(RIGHT, LEFT), labelmap(RIGHT, LEFT), CHAOS, CHAOS)
    missed = score_case("two", labelmap(0, LEFT), labelmap(RIGHT, LEFT), CHAOS, CHAOS)
    lines = as_markdown([good, missed, CaseScores("three", error="unreadable")]).splitlines()
    assert lines[0] == "| case | liver | right kidney | left kidney | spleen |"
    assert lines[2] == "| one | 1.000 | 1.000 | 1.000 | 1.000 |"
    assert lines[3] == "| two | 1.000 | 0.000 | 1.000 | 1.000 |"
    assert lines[4] == "| **mean** | **1.000** | **0.500** | **1.000** | **1.000** |"
    assert lines[-1] == "| called the other side, most | - | 0.00 % | 0.00 % | - |"
    assert "three" not in "".join(lines)


def test_a_value_with_two_names_is_refused(tmp_path):
    (tmp_path / "labels.json").write_text('{"1": "liver", "1": "spleen"}')
    with pytest.raises(UsageError, match=r"labels\.json: is not a label file .*\(the key '1' is there twice\)"):
        cohort.labels_named(str(tmp_path / "labels.json"))
    with pytest.raises(UsageError, match=r"none\.json: cannot be read \(No such file or directory\)$"):
        cohort.labels_named(str(tmp_path / "none.json"))


def test_a_mask_of_an_image_with_a_name_of_nnunet_fits_its_label_map(tmp_path):
    predictions, references = tmp_path / "masks", tmp_path / "labelsTs"
    for folder, names in (
        (predictions, ["a_0000_seg", "b_0000_seg", "b_seg", "c_0001_seg"]),
        (references, ["a", "b", "c"]),
    ):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.nii.gz").write_bytes(b"")
    pairs = {name: predicted and predicted.name for name, predicted, _ in pair_cases(predictions, references)}
    assert pairs == {"a": "a_0000_seg.nii.gz", "b": "b_seg.nii.gz", "c": None}


def test_predictions_without_reference_are_one_line(tmp_path, caplog):
    predictions, references = tmp_path / "masks", tmp_path / "truth"
    for folder, names in ((predictions, ["x_seg", "y_seg", "z_seg"]), (references, ["a"])):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.nii.gz").write_bytes(b"")
    (scores,) = cohort.evaluate_cohort(predictions, references, CHAOS, CHAOS)
    assert "there is no prediction of this name" in scores.error
    assert caplog.messages == [f"{predictions / 'x_seg.nii.gz'} and 2 more: no reference has this name; ignored"]
