"""Names that users give to segments: all different, such as DICOM takes, and organs by other names are still known."""

import csv

import numpy as np
import pytest

pytest.importorskip("slicer")

from helpers.scene_tools import add_random, loaded_from_dicom
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.segment_names import organs_meant, plain_name, segment_names
from LiverMRISegScene.segmentations import add_segmentation

SIZE = (40, 36, 24)


def organs_of(scene, volume):
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[4:12, 4:20, 5:20], labels[14:20, 20:30, 25:30], labels[14:20, 5:12, 25:30] = 1, 2, 3
    return add_segmentation(scene, volume, labels, CHAOS, "organs")


def rename(node, *names):
    for number, name in enumerate(names):
        node.GetSegmentation().GetNthSegment(number).SetName(name)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("\u809d\u81d3", "\u809d\u81d3"), ("Segment 1 <left>", "Segment 1 <left>"), ("C:\\liver\n2", "C: liver 2"),
        ("x" * 70, "x" * 58), ("", "segment"), (" \t", "segment"), ("\U0001f642", "\U0001f642"),
    ],
)  # fmt: skip
def test_names_that_dicom_does_not_take(name, plain):
    assert plain_name(name) == plain


def test_names_are_different_and_organs_are_known_by_any(scene):
    node = organs_of(scene, add_random(scene, "T1WI"))
    rename(node, "Foie", "Foie", "left kidney")
    names = segment_names(node)
    assert list(names.values()) == ["Foie", "Foie (2)", "left kidney"]
    assert organs_meant(node, names) == {"Foie": "liver", "Foie (2)": "right kidney"}
    rename(node, "Spleen", "Left kidney", "mine")  # another organ is said, and one that another segment is called
    assert organs_meant(node, segment_names(node)) == {}
    rename(node, "metastasis")
    node.GetSegmentation().GetSegment("liver").SetTag("TerminologyEntry", "what the user has chosen")
    assert organs_meant(node, segment_names(node)) == {}


def test_renamed_organs_by_clicks(host, panel, scene, database, monkeypatch, tmp_path):
    """Into the table, its file and DICOM, where a name of 70 letters and one without a letter are too much."""
    import pydicom
    import qt

    made = make_volume(size=SIZE)
    volume = loaded_from_dicom(scene, database, Volume(np.round(made.array), made.geometry), tmp_path / "series")
    node = organs_of(scene, volume)
    rename(node, "\u809d\u81d3\\1", "Niere rechts", "Niere links")
    for name in ("y" * 70, ""):
        copied = node.GetSegmentation().AddEmptySegment()
        node.GetSegmentation().GetSegment(copied).DeepCopy(node.GetSegmentation().GetSegment("liver"))
        node.GetSegmentation().GetSegment(copied).SetName(name)
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.outputSelector.setCurrentNode(node)
    panel.ui.measureCollapsibleButton.collapsed = False
    host.click(panel.ui.measureButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", staticmethod(lambda *a: str(tmp_path / "\u8868.csv")))
    host.click(panel.ui.measureExportButton)
    with (tmp_path / "\u8868.csv").open(encoding="utf-8") as file:
        found = {row["organ"]: float(row["volume_ml"]) for row in csv.DictReader(file)}
    names = ["\u809d\u81d3 1", "Niere rechts", "Niere links", "y" * 58, "segment"]
    assert [name for name in found if name != "total kidney volume"] == names
    assert found["total kidney volume"] == pytest.approx(found["Niere rechts"] + found["Niere links"], rel=1e-3)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *a: str(tmp_path)))
    host.click(panel.ui.dicomButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "They are in Slicer's DICOM database." in panel.ui.statusLabel.text
    files = [pydicom.dcmread(file) for file in sorted((tmp_path / "LiverMRISeg").glob("segmentation*.dcm"))]
    segments = [one for file in files if file.Modality == "SEG" for one in file.SegmentSequence]
    assert {(one.SegmentLabel, one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) for one in segments} == {
        ("\u809d\u81d3 1", "Liver"), ("Niere rechts", "Kidney"), ("Niere links", "Kidney"),
        ("Y" + "y" * 57, "Anatomical Structure"), ("Segment", "Anatomical Structure"),
    }  # fmt: skip
    reported = [str(element.value) for file in files if file.Modality == "SR" for element in file.iterall()]
    assert {one.SegmentLabel for one in segments} <= set(reported)
