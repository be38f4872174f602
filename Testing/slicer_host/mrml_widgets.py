"""qMRMLWidget and qMRMLNodeComboBox, enough for a panel: they follow the scene as Slicer's do."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import vtk
from PySide6 import QtCore, QtWidgets

from slicer_host.qt_classes import python_class
from slicer_host.segment_widgets import SegmentsTableView, Show3DButton


class _MRMLWidget(QtWidgets.QWidget):
    """Passes a scene on to the widgets that its .ui file connects."""

    sceneChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._scene = scene
        self.sceneChanged.emit(scene)

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene


def _told(widget: _NodeComboBox) -> Callable[..., None]:
    """Tells `widget` of events while it lives. Held strongly, both would go in one garbage collection, whose last event
    would then call what is half taken apart.
    """
    seen = weakref.ref(widget)

    def tell(*_: Any) -> None:
        alive = seen()
        if alive is not None:
            alive._scene_changed()

    return tell


class _NodeComboBox(QtWidgets.QWidget):
    """Lists the scene's nodes of some classes. A node added to the scene is listed, never chosen by itself."""

    nodeChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._nodes: list[Any] = []
        self._types: list[str] = []
        self._none_enabled, self._none_text = False, "None"
        self._children_shown = True
        self._wanted: dict[str, tuple[str, str]] = {}
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._box = QtWidgets.QComboBox(self)
        self._box.currentIndexChanged.connect(self._chosen)
        layout.addWidget(self._box)

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags, self._scene = [], scene
        if scene is not None:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
                self._tags.append(scene.AddObserver(event, _told(self)))
        self._refresh()

    def _scene_changed(self) -> None:
        box = getattr(self, "_box", None)
        if box is not None and shiboken6.isValid(box):
            self._refresh()
        else:  # the panel was closed, the scene lives on
            for tag in getattr(self, "_tags", []):
                self._scene.RemoveObserver(tag)

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene

    def currentNode(self) -> Any:  # noqa: N802
        index = self._box.currentIndex()
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        if node is not None and node not in self._nodes:
            self._refresh()
        self._box.setCurrentIndex(self._nodes.index(node) if node in self._nodes else -1)

    def addAttribute(self, kind: str, name: str, value: str) -> None:  # noqa: N802
        """List only those nodes of a class that have this attribute."""
        self._wanted[kind] = (name, value)
        self._refresh()

    def setCurrentNodeID(self, node_id: str) -> None:  # noqa: N802
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if self._scene is not None and node_id else None)

    def nodeCount(self) -> int:  # noqa: N802
        return sum(node is not None for node in self._nodes)

    def _refresh(self) -> None:
        current = self.currentNode()
        nodes: list[Any] = [None] if self._none_enabled else []
        for kind in self._types if self._scene is not None else ():
            found = [self._scene.GetNthNodeByClass(n, kind) for n in range(self._scene.GetNumberOfNodesByClass(kind))]
            nodes.extend(node for node in found if not node.GetHideFromEditors() and self._is_of(node, kind))
        blocked = self._box.blockSignals(True)
        self._nodes = nodes
        self._box.clear()
        self._box.addItems([node.GetName() or "" if node is not None else self._none_text for node in nodes])
        self._box.setCurrentIndex(nodes.index(current) if current in nodes else -1)
        self._box.blockSignals(blocked)
        if self.currentNode() is not current:
            self.nodeChanged.emit(self.currentNode())

    def _is_of(self, node: Any, kind: str) -> bool:
        """Slicer's box also lists derived classes, as label maps among scalar volumes, unless told not to."""
        name, value = self._wanted.get(kind, ("", ""))
        if name and node.GetAttribute(name) != value:
            return False
        return self._children_shown or node.GetClassName() == kind

    def _chosen(self, _index: int) -> None:
        self.nodeChanged.emit(self.currentNode())

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    def _set_none_enabled(self, enabled: bool) -> None:
        self._none_enabled = enabled
        self._refresh()

    def _set_children_shown(self, shown: bool) -> None:
        self._children_shown = shown
        self._refresh()

    def _set_none_text(self, text: str) -> None:
        self._none_text = text
        self._refresh()

    nodeTypes = QtCore.Property("QStringList", lambda self: self._types, _set_types)  # noqa: N815
    showChildNodeTypes = QtCore.Property(bool, lambda self: self._children_shown, _set_children_shown)  # noqa: N815
    noneEnabled = QtCore.Property(bool, lambda self: self._none_enabled, _set_none_enabled)  # noqa: N815
    noneDisplay = QtCore.Property(str, lambda self: self._none_text, _set_none_text)  # noqa: N815
    addEnabled = QtCore.Property(bool, lambda self: False, lambda self, value: None)  # noqa: N815
    removeEnabled = QtCore.Property(bool, lambda self: False, lambda self, value: None)  # noqa: N815


def make_mrml_widgets() -> dict[str, type]:
    """The qMRML classes by name."""
    made = {
        "qMRMLWidget": python_class(_MRMLWidget, {"_signals": {"mrmlSceneChanged(vtkMRMLScene*)": "sceneChanged"}}),
        "qMRMLNodeComboBox": python_class(
            _NodeComboBox, {"_signals": {"currentNodeChanged(vtkMRMLNode*)": "nodeChanged"}}
        ),
        "qMRMLSegmentsTableView": python_class(SegmentsTableView),
        "qMRMLSegmentationShow3DButton": python_class(Show3DButton),
    }
    for name, kind in made.items():
        kind.__name__ = name
    return made


def new_scene() -> Any:
    """A scene with what the application puts into it: colours, a hierarchy, and 200 steps of undo."""
    import slicer

    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLColorLogic()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetModuleLogic("Colors", logic)
    logic.SetMRMLApplicationLogic(application)
    logic.SetMRMLScene(scene)
    scene.host_logics = (application, logic) if hasattr(scene, "__dict__") else None
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in ("vtkBinaryLabelmapToClosedSurfaceConversionRule", "vtkClosedSurfaceToBinaryLabelmapConversionRule"):
        factory.RegisterConverterRule(getattr(slicer, rule)())
    return scene


_ = vtk  # imported first: slicer-core needs its libraries
