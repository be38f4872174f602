"""The choices that belong to a scene: shown, made for the user, and saved with the scene."""

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.scene_tools import add_random


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
