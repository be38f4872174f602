"""The choices that belong to a scene: shown, made for the user, and saved with the scene."""

import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows
from helpers.places import ROOT
from helpers.scene_tools import add_random
from LiverMRISegScene.segment_editor import source_volume


@pytest.fixture
def red_slice(scene):
    import slicer

    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName("Red")
    return scene.AddNode(composite)


def test_a_volume_that_is_chosen_is_shown(panel, scene, red_slice):
    node = add_random(scene, "T2WI")
    panel.ui.inputSelector.setCurrentNode(node)
    assert red_slice.GetBackgroundVolumeID() == node.GetID()


def test_the_volume_that_is_shown_is_chosen(panel, scene, red_slice):
    add_random(scene, "T1WI")
    shown = add_random(scene, "T2WI")
    panel.enter()
    assert panel.ui.inputSelector.currentNode() is None  # neither is shown
    red_slice.SetBackgroundVolumeID(shown.GetID())
    panel.enter()
    assert panel.ui.inputSelector.currentNode() is shown


def test_the_only_volume_is_chosen_and_another_choice_stays(panel, scene):
    first = add_random(scene, "T1WI")
    panel.enter()
    assert panel.ui.inputSelector.currentNode() is first
    other = add_random(scene, "T2WI")
    panel.ui.inputSelector.setCurrentNode(other)
    panel.enter()
    assert panel.ui.inputSelector.currentNode() is other


def test_choices_are_saved_with_the_scene(host, second_model, panel, scene, tmp_path):
    first, second = add_random(scene, "T1WI"), add_random(scene, "T2WI")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    names = [panel.ui.modelSelector.itemText(n) for n in range(panel.ui.modelSelector.count)]
    panel.ui.modelSelector.setCurrentIndex(names.index(second_model))
    panel.picker._chosen(0)
    panel.ui.inputSelector.setCurrentNode(first)
    panel.ui.inputSelector.setCurrentNode(second)
    panel.ui.outputSelector.setCurrentNode(segmentation)
    scene.SetURL(str(tmp_path / "scene.mrml"))
    scene.Commit()
    scene.Clear(0)
    assert panel.ui.inputSelector.currentNode() is None
    panel.picker.want("liver-any-sequence")
    scene.Import()
    assert panel.ui.inputSelector.currentNode().GetName() == "T2WI"
    assert panel.ui.outputSelector.currentNode().GetName() == "organs"
    assert panel.picker.offer.entry.name == second_model
    assert scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 1


def test_a_model_that_is_not_on_this_computer_is_said_and_stays_the_scene_s(host, second_model, panel, scene, tmp_path):
    """It is there again on the computer that the scene came from."""
    from LiverMRISegLib.models.catalog import remove_model

    volume = add_random(scene, "T1WI")
    panel.picker.want(second_model)
    panel.ui.inputSelector.setCurrentNode(volume)
    scene.SetURL(str(tmp_path / "scene.mrml"))
    scene.Commit()
    scene.Clear(0)
    remove_model(second_model)
    panel.picker.refresh()
    assert second_model not in panel.ui.fitWarning.text  # it was another scene's
    scene.Import()
    said = f"\u26a0 {second_model}, which was chosen before, is not on this computer."
    assert panel.ui.fitWarning.text.split("\n")[0] == said
    panel.ui.inputSelector.setCurrentNode(add_random(scene, "T2WI"))  # which saves the choices
    assert panel.choices._parameter_node().GetParameter("Model") == second_model
    panel.picker._chosen(0)
    panel.choices.save()
    assert panel.choices._parameter_node().GetParameter("Model") == panel.picker.offer.entry.name != second_model


@pytest.mark.parametrize("is_opened", [True, False], ids=["opened", "added"])
def test_an_mrb_brings_result_volume_transform_and_choices(panel, scene, result, io_manager, tmp_path, is_opened):
    segmentation, volume = result
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    for node in result:
        node.SetAndObserveTransformNodeID(transform.GetID())
    add_random(scene, "T2WI")
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), is_opened)
    chosen, shown = panel.ui.inputSelector.currentNode(), panel.ui.outputSelector.currentNode()
    assert (chosen.GetName(), shown.GetName()) == ("T1WI", "organs")
    assert chosen is not volume
    assert shown is not segmentation
    assert source_volume(shown) is chosen
    assert chosen.GetTransformNodeID() == shown.GetTransformNodeID() is not None
    assert panel.table.node is shown
    assert set(rows(panel.ui.resultTable)) == {"liver", "spleen"}


@pytest.mark.parametrize("selector", ["inputSelector", "pdffSelector"])
def test_a_volume_that_is_removed_leaves_none_chosen(panel, scene, selector):
    """Slicer would choose its neighbour, which would then be segmented or measured instead."""
    nodes, box = [add_random(scene, name) for name in ("T1WI", "T2WI", "PDFF")], getattr(panel.ui, selector)
    for node in (nodes[1], nodes[2]):
        box.setCurrentNode(node)
        scene.RemoveNode(node)
        assert box.currentNode() is None
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "Choose a volume."


def test_a_segmentation_that_is_removed_leaves_none_chosen(panel, scene):
    older, newer = (scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in ("older", "newer"))
    panel.ui.outputSelector.setCurrentNode(newer)
    scene.RemoveNode(newer)
    assert panel.ui.outputSelector.currentNode() is None
    assert panel.table.node is not older


def test_every_selector_of_nodes_is_known(panel):
    from LiverMRISegPanel.scene_choices import SELECTORS

    widgets = ElementTree.parse(ROOT / "LiverMRISeg/Resources/UI/LiverMRISeg.ui").iter("widget")
    assert set(SELECTORS) == {w.get("name") for w in widgets if w.get("class") == "qMRMLNodeComboBox"}


def test_what_is_chosen_stays_when_another_scene_is_added(panel, scene, tmp_path):
    """Slicer empties its selectors when it adds a scene's nodes."""
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "added")
    other.SetURL(str(tmp_path / "other.mrml"))
    other.Commit()
    first, second = add_random(scene, "T1WI"), add_random(scene, "T2WI")
    segmentations = [scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in ("older", "newer")]
    panel.ui.inputSelector.setCurrentNode(second)
    panel.ui.outputSelector.setCurrentNode(segmentations[1])
    scene.SetURL(str(tmp_path / "other.mrml"))
    scene.Import()
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3
    assert panel.ui.inputSelector.currentNode() is second is not first
    assert panel.ui.outputSelector.currentNode() is segmentations[1]


def test_renaming_the_chosen_volume_finds_its_models_and_leaves_the_slices(panel, scene, red_slice):
    chosen, other = add_random(scene, "series 7"), add_random(scene, "other")
    panel.ui.inputSelector.setCurrentNode(chosen)
    red_slice.SetBackgroundVolumeID(other.GetID())
    chosen.SetName("CT thorax")
    assert "The volume is CT" in panel.ui.fitWarning.text
    assert red_slice.GetBackgroundVolumeID() == other.GetID()


def test_one_of_two_nodes_of_the_same_name_can_be_chosen(panel, scene, red_slice):
    from PySide6 import QtCore, QtTest

    volumes = [add_random(scene, "T1WI") for _ in range(2)]
    segmentations = [scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "T1WI organs") for _ in range(2)]
    for box, nodes in ((panel.ui.inputSelector, volumes), (panel.ui.outputSelector, segmentations)):
        box.setCurrentNode(nodes[0])
        QtTest.QTest.keyClick(box._box, QtCore.Qt.Key.Key_Down)
        assert box.currentNode() is nodes[1]
    assert red_slice.GetBackgroundVolumeID() == volumes[1].GetID()
    assert panel.table.node is segmentations[1]
