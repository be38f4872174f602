"""The section Measure by real clicks: maps on their own grids, edits and lesions, CSV, DICOM into the database."""

import csv
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.needs import real_images
from helpers.places import DATA
from helpers.scene_tools import draw, loaded_from_dicom
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.volumes import add_volume, volume_of

SIZE = (40, 36, 24)


def rows(panel):
    table = panel.ui.measureTable
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def measure(host, panel, is_sent=True):
    panel.ui.measureCollapsibleButton.collapsed = False
    host.click(panel.ui.measureButton)
    assert panel.ui.segmentButton.enabled != is_sent
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    return rows(panel)


def add_map(scene, name, value, spacing=(3.0, 3.0, 5.0)):
    """A map on another grid over the same place."""
    grid = make_volume(size=SIZE).geometry.with_spacing(spacing)
    return add_volume(scene, Volume(np.full(grid.shape, value, np.float32), grid), name)


def test_organs_lesions_and_maps_on_other_grids(host, panel, scene, result, monkeypatch, tmp_path):
    import qt

    node, volume = result
    node.GetSegmentation().AddEmptySegment("mine", "Lesion 1")
    lesion = np.zeros(SIZE[::-1], bool)
    lesion[5:9, 5:12, 6:12] = True
    draw(node, "mine", lesion, volume)
    panel.ui.pdffSelector.setCurrentNode(add_map(scene, "fat", 12.5))
    panel.ui.fatPairSelector.setCurrentIndex(1)
    panel.ui.fatFirstSelector.setCurrentNode(add_map(scene, "w", 60.0))
    panel.ui.fatSecondSelector.setCurrentNode(add_map(scene, "f", 20.0))
    panel.ui.outliersCheck.setChecked(True)
    found = measure(host, panel)
    assert [row[0] for row in found] == ["liver", "liver", "spleen", "spleen", "Lesion 1", "Lesion 1"]
    assert [row[2] for row in found] == ["PDFF", "fat fraction"] * 3
    assert {row[3] for row in found} == {"12.5 %", "25 %"}
    volumes = {row.key: row.ml for row in panel.table._rows}
    assert [float(row[1]) for row in found][::2] == pytest.approx(list(volumes.values()), rel=1e-3)
    assert found[2][7].endswith(" mm")  # the spleen's length
    titles = [panel.ui.measureTable.horizontalHeaderItem(n).text() for n in range(9)]
    assert titles == ["Organ", "mL", "Map", "Mean", "SD", "Median", "5-95 %", "Length", "Remarks"]
    target = tmp_path / "m.csv"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", staticmethod(lambda *a: str(target)))
    host.click(panel.ui.measureExportButton)
    assert [row["organ"] for row in csv.DictReader(target.open())] == [row[0] for row in found]
    scene.RemoveNode(node)
    scene.Clear(0)
    assert rows(panel) == []
    assert not panel.ui.measureButton.enabled


def test_what_cannot_be_measured_says_why(host, panel, scene, result):
    far = make_volume(size=SIZE)
    far = Volume(far.array, replace(far.geometry, origin=(900.0, 0.0, 0.0)))
    panel.ui.t1Selector.setCurrentNode(add_volume(scene, far, "T1 map"))
    measure(host, panel)
    assert "nowhere in the same place" in panel.ui.statusLabel.text
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    result[1].SetAndObserveTransformNodeID(transform.GetID())
    host.click(panel.ui.measureButton)
    assert "organs: is not under the same transform as the volume" in panel.ui.statusLabel.text
    assert not panel.queue.is_busy


@pytest.mark.parametrize("chosen", ["fatFirstSelector", "fatSecondSelector", None])
def test_a_fat_fraction_needs_both_images(host, panel, scene, result, chosen):
    panel.ui.fatPairSelector.setCurrentIndex(1)
    if chosen is not None:
        getattr(panel.ui, chosen).setCurrentNode(add_map(scene, "w", 60.0))
    assert measure(host, panel, is_sent=False) == []
    assert panel.ui.statusLabel.text == "Choose both images of the fat fraction, or no pair of images."


def test_a_segment_outside_the_volume_is_not_left_out_in_silence(host, panel, scene, result):
    node, _ = result
    node.SetNodeReferenceID("referenceImageGeometryRef", None)
    made = make_volume(size=SIZE)
    part = Volume(made.array[:, :, :15].copy(), replace(made.geometry, size=(15, *SIZE[1:])))
    panel.ui.inputSelector.setCurrentNode(add_volume(scene, part, "part"))
    assert measure(host, panel, is_sent=False) == []
    said = "spleen of organs: is outside the volume part; choose the volume that it was made from"
    assert said in panel.ui.statusLabel.text


def test_figures_go_once_the_segmentation_is_another(host, panel, scene, result):
    from LiverMRISegLib.anatomy import CHAOS
    from LiverMRISegScene.segmentations import add_segmentation

    node, volume = result
    assert len(measure(host, panel)) == 2
    panel.ui.outputSelector.setCurrentNode(None)
    assert len(rows(panel)) == 2  # the same result is shown
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[4:12, 4:20, 5:20] = 1
    panel.ui.outputSelector.setCurrentNode(add_segmentation(scene, volume, labels, CHAOS, "other"))
    assert rows(panel) == []
    assert not panel.ui.measureExportButton.enabled
    assert panel.ui.statusLabel.text.startswith("The segmentation has changed since it was measured")
    panel.ui.outputSelector.setCurrentNode(node)
    assert len(measure(host, panel)) == 2
    draw(node, "liver", (labels > 0) & (np.arange(40) > 9), volume)
    panel.table.refresh()
    assert rows(panel) == []


def test_no_name_of_a_node_reaches_the_log(host, panel, scene, result):
    import vtk

    from helpers.sequence_nodes import add_sequence

    node, volume = result
    node.SetName("Muller^Anna organs")
    volume.SetName("Muller^Anna")
    bent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "of Muller^Anna")
    bent.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    volume.SetAndObserveTransformNodeID(bent.GetID())
    measure(host, panel, is_sent=False)
    assert "Muller^Anna organs: is not under the same transform" in panel.ui.statusLabel.text
    panel.ui.outputSelector.setCurrentNode(None)
    host.click(panel.ui.segmentButton)
    assert "'of Muller^Anna' is not linear" in panel.ui.statusLabel.text
    sequence, browser = add_sequence(scene, [make_volume(size=SIZE)])
    sequence.GetNthDataNode(0).SetName("frame of Muller^Anna")
    browser.GetProxyNode(sequence).SetAndObserveTransformNodeID(bent.GetID())
    panel.ui.inputSelector.setCurrentNode(sequence)
    host.click(panel.ui.segmentButton)
    assert "frame of Muller^Anna: its transform" in panel.ui.statusLabel.text
    assert "is not linear" in panel.ui.logText.toPlainText()
    assert "Anna" not in panel.ui.logText.toPlainText()


def test_a_segmentation_on_a_finer_grid_is_measured_on_the_volumes(scene, result):
    from LiverMRISegScene.measuring import mask_on
    from LiverMRISegScene.replacing import replace_segments
    from LiverMRISegScene.segmentations import add_segmentation

    node, volume = result
    grid = make_volume(size=SIZE).geometry
    fine = grid.with_spacing(tuple(s / 2 for s in grid.spacing))
    from LiverMRISegLib.anatomy import CHAOS

    labels = np.zeros(fine.shape, np.uint8)
    labels[8:24, 8:40, 10:40] = 1
    there = add_volume(scene, Volume(labels.astype(np.float32), fine), "fine")
    replace_segments(node, add_segmentation(scene, there, labels, CHAOS, "newer"))
    expected = np.zeros(SIZE[::-1], bool)
    expected[4:12, 4:20, 5:20] = True
    assert np.array_equal(mask_on(node, "liver", volume), expected)


def numbers(report):
    """The measured values of a DICOM SR, in order."""
    found, waiting = [], list(report.ContentSequence)
    while waiting:
        item = waiting.pop(0)
        found.extend(item.get("MeasuredValueSequence", ()))
        waiting[:0] = list(item.get("ContentSequence", ()))
    return found


def test_to_dicom_and_into_the_database(host, panel, scene, database, monkeypatch, tmp_path):
    import pydicom
    import qt

    from LiverMRISegLib.anatomy import CHAOS
    from LiverMRISegLib.io import read_labelmap
    from LiverMRISegLib.volume import resample
    from LiverMRISegScene.segmentations import add_segmentation

    made = make_volume(size=SIZE)
    volume = Volume(made.array.astype(np.uint16).astype(np.float32), made.geometry)
    node = loaded_from_dicom(scene, database, volume, tmp_path / "series")
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[4:12, 4:20, 5:20], labels[14:20, 20:30, 25:30] = 1, 2
    organs = add_segmentation(scene, node, labels, CHAOS, "organs")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registered")
    import slicer

    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0])))
    for moved in (node, organs):
        moved.SetAndObserveTransformNodeID(transform.GetID())
    panel.ui.inputSelector.setCurrentNode(node)
    panel.ui.outputSelector.setCurrentNode(organs)
    panel.ui.measureCollapsibleButton.collapsed = False
    panel.ui.otherMapSelector.setCurrentNode(node)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *a: str(tmp_path)))
    host.click(panel.ui.dicomButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "They are in Slicer's DICOM database." in panel.ui.statusLabel.text
    file = tmp_path / "LiverMRISeg" / "segmentation.dcm"
    written = pydicom.dcmread(file)
    assert written.Modality == "SEG"
    assert written.StudyInstanceUID == "1.2.826.0.1.3680043.10.9"
    assert database.fileForInstance(str(written.SOPInstanceUID)) == str(file)
    assert np.array_equal(resample(read_labelmap(file), volume.geometry, nearest=True).array, labels)
    assert str(tmp_path) not in panel.ui.logText.toPlainText()
    report = pydicom.dcmread(tmp_path / "LiverMRISeg" / "segmentation_measurements.dcm")
    assert report.Modality == "SR"
    assert report.StudyInstanceUID == written.StudyInstanceUID
    assert database.fileForInstance(str(report.SOPInstanceUID))
    values = [float(item.NumericValue) for item in numbers(report)]
    liver = float((labels == 1).sum()) * volume.geometry.voxel_volume_ml
    assert values[0] == pytest.approx(liver, rel=1e-4)
    assert values[1] == pytest.approx(float(volume.array[labels == 1].mean()), rel=1e-3)
    host.click(panel.ui.dicomButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert (tmp_path / "LiverMRISeg_2" / "segmentation.dcm").exists()


def test_a_volume_that_did_not_come_from_dicom(host, panel, result, database, monkeypatch, tmp_path):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *a: str(tmp_path)))
    panel.ui.measureCollapsibleButton.collapsed = False
    host.click(panel.ui.dicomButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "did not come from Slicer's DICOM database; load it from there" in panel.ui.statusLabel.text
    assert list(tmp_path.iterdir()) == []


def test_a_slicer_that_cannot_write_dicom_says_so(host, panel, result, monkeypatch):
    from LiverMRISegPanel import measure_view

    monkeypatch.setattr(measure_view, "can_write", lambda: False)
    panel.ui.measureCollapsibleButton.collapsed = False
    host.click(panel.ui.dicomButton)
    assert "need the package highdicom, which Slicer has since version 5.12" in panel.ui.statusLabel.text


@real_images("mr_t2_liver_kidneys_spleen/mr_01.nii.gz")
def test_a_real_segmentation_and_the_image_itself(host, panel, scene):
    """Against the figures of the voxels themselves."""
    from LiverMRISegLib.anatomy import CHAOS
    from LiverMRISegLib.io import read_labelmap, read_volume
    from LiverMRISegScene.segmentations import add_segmentation

    folder = DATA / "mr_t2_liver_kidneys_spleen"
    image, truth = read_volume(folder / "mr_01.nii.gz"), read_labelmap(folder / "mr_01_label.nii.gz")
    node = add_volume(scene, image, "T2WI")
    organs = add_segmentation(scene, node, truth.array, CHAOS, "organs")
    panel.ui.inputSelector.setCurrentNode(node)
    panel.ui.outputSelector.setCurrentNode(organs)
    panel.ui.otherMapSelector.setCurrentNode(node)
    found = {row[0]: row for row in measure(host, panel)}
    assert volume_of(node).geometry.is_close(image.geometry)
    for value, organ in CHAOS.items():
        inside = image.array[truth.array == value]
        assert float(found[organ.name][3]) == pytest.approx(float(inside.mean()), rel=1e-3)
        assert float(found[organ.name][5]) == pytest.approx(float(np.median(inside)), rel=1e-3)
    kidneys = float(((truth.array == 2) | (truth.array == 3)).sum()) * truth.geometry.voxel_volume_ml
    assert float(found["total kidney volume"][1]) == pytest.approx(kidneys, rel=1e-3)


def test_in_the_console(module, panel, scene, result):
    node, _ = result
    console = module.LiverMRISegLogic()
    found = console.measure(node, {"PDFF": add_map(scene, "fat", 12.5)}, erosion_mm=2.0)
    assert [(row["organ"], row["map"], float(row["mean"])) for row in found] == [
        ("liver", "PDFF", 12.5), ("spleen", "PDFF", 12.5),
    ]  # fmt: skip
    scene.RemoveNode(result[1])
    with pytest.raises(InputError, match="its volume is not in the scene; give it as `volume`"):
        console.measure(node)
