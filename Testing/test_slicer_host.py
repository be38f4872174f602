"""The host is as strict as PythonQt: what would fail in Slicer fails here."""

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.waiting import SECONDS
from slicer_host import start


@pytest.fixture
def host():
    host = start()
    host.problems.clear()
    return host


@pytest.fixture
def qt(host):
    import qt

    return qt


UI = """<ui version="4.0"><class>T</class><widget class="qMRMLWidget" name="T"><layout class="QVBoxLayout" name="l">
<item><widget class="ctkCollapsibleButton" name="fold"><property name="text"><string>Title</string></property>
<property name="collapsed"><bool>true</bool></property>
<layout class="QVBoxLayout" name="m"><item><widget class="{kind}" name="inner"/></item>
<item><layout class="QHBoxLayout" name="n"><item><widget class="QLabel" name="second"/></item></layout></item>
</layout></widget>
</item><item><widget class="qMRMLNodeComboBox" name="nodes"><property name="nodeTypes"><stringlist>
<string>vtkMRMLScalarVolumeNode</string></stringlist></property></widget></item></layout></widget>
<connections><connection><sender>T</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>nodes</receiver>
<slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


def load(tmp_path, kind="QPushButton"):
    import slicer

    (tmp_path / "t.ui").write_text(UI.format(kind=kind))
    return slicer.util.loadUI(str(tmp_path / "t.ui"))


def test_properties_are_attributes(qt):
    label = qt.QLabel("text")
    assert label.text == "text"
    label.text = "other"
    label.setText(label.text + "!")
    assert label.text == "other!"
    assert qt.QLineEdit().enabled is True
    assert qt.QTableWidget(2, 3).rowCount == 2


def test_what_qt_itself_calls_stays_a_method(host, qt):
    """A property in its place would be asked for by Qt, and ask Qt, without end."""
    widget = qt.QWidget()
    assert qt.QVBoxLayout(widget).spacing() >= 0
    assert not qt.QProgressBar().text()


def test_a_misspelt_attribute_is_an_error_but_not_on_subclasses(qt):
    with pytest.raises(AttributeError, match="no property 'txt'"):
        qt.QLabel().txt = "x"

    class Mine(qt.QLabel):
        pass

    mine = Mine("x")
    mine.whatever = 3
    assert mine.whatever == 3


def test_wrong_types_are_errors(qt):
    with pytest.raises(ValueError, match="text must be str"):
        qt.QLabel().text = 3
    with pytest.raises(ValueError, match="value must be int"):
        qt.QProgressBar().value = "3"
    button = qt.QPushButton()
    button.enabled = 0
    assert button.enabled is False


def test_an_unknown_signal_is_noted(host, qt):
    assert qt.QPushButton().connect("clickt(bool)", print) is False
    assert host.problems.unknown_signals == ["QPushButton: clickt(bool)"]
    host.problems.clear()


def test_slots_get_as_many_arguments_as_they_take(host, qt):
    button, got = qt.QPushButton(), []

    def both(*arguments):
        got.append(arguments)

    assert button.connect("clicked(bool)", lambda: got.append("none"))
    assert button.connect("clicked(bool)", lambda checked: got.append(checked))
    assert button.connect("clicked(bool)", both)
    assert button.connect("clicked()", both)
    button.click()
    assert got == ["none", False, (False,), ()]
    assert button.disconnect("clicked(bool)", both)
    assert not button.disconnect("clicked(bool)", print)
    got.clear()
    button.click()
    assert got == ["none", False, ()]


def test_an_error_in_a_slot_is_kept(host, qt):
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in host.problems.slot_errors[0]
    host.problems.clear()


@pytest.mark.parametrize("is_kept", [False, True])
def test_an_object_dropped_in_its_own_signal_is_noted(host, qt, is_kept):
    """Also where `deleteLater` was called: PythonQt deletes it with its last reference."""
    held, ended = [], []

    def finished():
        process = held.pop()
        if is_kept:
            qt.QTimer.singleShot(0, lambda: process.deleteLater())
        else:
            process.deleteLater()
        ended.append(True)

    held.append(qt.QProcess())
    held[0].connect("finished(int,QProcess::ExitStatus)", finished)
    held[0].start("true", [])
    assert host.wait(lambda: ended == [True], SECONDS)
    assert host.problems.dropped_senders == ([] if is_kept else ["QProcess: finished(int,QProcess::ExitStatus)"])
    host.problems.clear()


def test_isinstance_holds_for_what_qt_made_itself(qt):
    table = qt.QTableWidget()
    assert isinstance(table.horizontalHeader(), qt.QHeaderView)
    assert isinstance(table, qt.QWidget)
    assert not isinstance(table, qt.QLabel)


def test_static_members_stay_reachable(host, qt):
    done = []
    qt.QTimer.singleShot(10, lambda: done.append(1))
    assert host.wait(lambda: done == [1], SECONDS)


def test_a_ui_file(host, qt, tmp_path):
    import slicer

    widget = load(tmp_path)
    ui = slicer.util.childWidgetVariables(widget)
    assert {"fold", "inner", "second", "nodes"} <= set(vars(ui))
    assert ui.fold.collapsed
    assert ui.fold.text == "Title"
    widget.show()
    assert not ui.inner.visible
    ui.second.setVisible(True)
    ui.second.setVisible(False)
    ui.fold.collapsed = False
    assert ui.inner.visible
    assert ui.nodes.mrmlScene() is None
    widget.setMRMLScene(slicer.mrmlScene)
    assert ui.nodes.mrmlScene() is slicer.mrmlScene
    widget.close()


def test_a_ui_file_with_a_class_the_host_has_not(qt, tmp_path):
    with pytest.raises(RuntimeError, match="cannot make: qMRMLColorTableView inner"):
        load(tmp_path, "qMRMLColorTableView")


@pytest.fixture
def box(host, tmp_path):
    """A choice of a scalar volume, or none, in an empty scene."""
    import slicer

    slicer.mrmlScene = host.scene
    host.scene.Clear(0)
    widget = load(tmp_path)
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


PATH_UI = """<ui version="4.0"><class>T</class>
<widget class="qMRMLWidget" name="T"><layout class="QVBoxLayout" name="l">
<item><widget class="ctkPathLineEdit" name="path">{filters}</widget></item></layout></widget></ui>"""


@pytest.mark.parametrize(
    ("filters", "dialog"),
    [
        ("", "getOpenFileName"),
        ('<property name="filters"><set>ctkPathLineEdit::Dirs</set></property>', "getExistingDirectory"),
        (
            '<property name="filters"><set>ctkPathLineEdit::Files|ctkPathLineEdit::Writable</set></property>',
            "getSaveFileName",
        ),
    ],
)
def test_what_a_path_box_browses_for(qt, tmp_path, monkeypatch, filters, dialog):
    import slicer

    (tmp_path / "t.ui").write_text(PATH_UI.format(filters=filters))
    box = slicer.util.childWidgetVariables(slicer.util.loadUI(str(tmp_path / "t.ui"))).path
    for name in ("getOpenFileName", "getExistingDirectory", "getSaveFileName"):
        monkeypatch.setattr(qt.QFileDialog, name, staticmethod(lambda *a, name=name: name))
    box.browse()
    assert box.currentPath == dialog


def test_what_a_person_cannot_click_cannot_be_clicked(host, qt):
    button = qt.QPushButton("x")
    with pytest.raises(RuntimeError, match="hidden or disabled"):
        host.click(button)


def test_dialogs_are_kept_and_answered(host):
    import slicer

    host.dialogs.shown.clear()
    host.dialogs.answer = False
    assert slicer.util.confirmOkCancelDisplay("sure?") is False
    host.dialogs.answer = True
    slicer.util.errorDisplay("bad")
    assert host.dialogs.shown == [("confirmOkCancelDisplay", "sure?"), ("errorDisplay", "bad")]


BASES = """
import os
import unittest
import qt
import slicer

class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent
        parent.icon = qt.QIcon(os.path.join(os.path.dirname(parent.path), "Resources/Icons/LiverMRISeg.png"))

class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__[:-6]
        self.parent = parent
        self.layout = self.parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self.cleanup)

    def setup(self):
        self.is_of_another_checkout = True

    def resourcePath(self, name):
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", name)

class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__[:-5]

    def getParameterNode(self):
        return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")

class ScriptedLoadableModuleTest(unittest.TestCase):
    pass
"""


def test_base_classes_of_another_checkout(tmp_path):
    """Written after what Slicer's own file calls; that file itself is run by setting the variable."""
    import os
    import subprocess
    import sys

    from helpers.places import ROOT

    (tmp_path / "ScriptedLoadableModule.py").write_text(BASES)
    code = (
        "from pathlib import Path; from slicer_host import start; host = start(); "
        f"module = host.load_module(Path({str(ROOT / 'LiverMRISeg' / 'LiverMRISeg.py')!r})); "
        "widget = host.show_panel(module); "
        "print(widget.is_of_another_checkout, widget.panel.ui.statusLabel.text, host.problems.slot_errors); "
        "widget.cleanup()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "Testing"), "SLICER_PYTHON_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[0] == "True Choose a volume. []"
