"""The host's choice of a node follows the scene as the application's does."""

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")


@pytest.fixture
def box(host, load):
    """A choice of a scalar volume, or none, in an empty scene."""
    import slicer

    slicer.mrmlScene = host.scene
    host.scene.Clear(0)
    widget = load()
    widget.setMRMLScene(host.scene)
    made = slicer.util.childWidgetVariables(widget).nodes
    made.noneEnabled = True
    yield made
    widget.close()


@pytest.fixture
def changes(box):
    """What the box says is chosen, in order."""
    said = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", said.append)
    return said


def add(scene, name, kind="vtkMRMLScalarVolumeNode"):
    return scene.AddNewNodeByClass(kind, name)


def test_the_node_box_follows_the_scene_and_does_not_choose_by_itself(host, box, changes):
    add(host.scene, "another class", "vtkMRMLSegmentationNode")
    node = add(host.scene, "a")
    add(host.scene, "labels", "vtkMRMLLabelMapVolumeNode")
    assert box.nodeCount() == 2  # a label map is a scalar volume to Slicer's box
    box.showChildNodeTypes = False
    assert box.nodeCount() == 1
    assert box.currentNode() is None
    box.setCurrentNode(node)
    assert changes == [node]
    host.scene.RemoveNode(node)
    assert box.currentNode() is None
    assert changes == [node, None]


def test_the_node_box_chooses_a_neighbour_of_what_is_removed(host, box):
    """While the node is still in the scene."""
    nodes = [add(host.scene, name) for name in "abc"]
    box.setCurrentNode(nodes[2])
    seen = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: seen.append((node, nodes[2].GetScene())))
    host.scene.RemoveNode(nodes[2])
    assert seen == [(nodes[1], host.scene)]
    assert box.currentNode() is nodes[1]


def test_the_node_box_says_again_what_was_renamed_but_not_another_of_the_same_name(host, box, changes):
    nodes = [add(host.scene, "a") for _ in range(2)]
    box.setCurrentNode(nodes[0])
    box.setCurrentNode(nodes[1])
    assert changes == [nodes[0]]
    assert box.currentNode() is nodes[1]
    nodes[1].SetName("b")
    assert changes == nodes


def test_the_node_box_is_empty_during_an_import_and_chooses_none_after_it(host, box, changes, tmp_path):
    import slicer

    other = slicer.vtkMRMLScene()
    add(other, "added")
    other.SetURL(str(tmp_path / "other.mrml"))
    other.Commit()
    node = add(host.scene, "a")
    box.setCurrentNode(node)
    counts = []
    event = host.scene.NodeAddedEvent
    tag = host.scene.AddObserver(event, lambda *_: counts.append((host.scene.IsImporting(), box.nodeCount())))
    host.scene.SetURL(str(tmp_path / "other.mrml"))
    host.scene.Import()
    host.scene.RemoveObserver(tag)
    assert (1, 1) in counts
    assert (1, 2) not in counts
    assert box.nodeCount() == 2
    assert box.currentNode() is None
    assert changes == [node, None]
