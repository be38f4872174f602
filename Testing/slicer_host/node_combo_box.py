"""qMRMLNodeComboBox over Qt's own box and model, whose habits are those of the application.

Rules read in Slicer 5.10, 5.12 and main (Libs/MRML/Widgets: qMRMLNodeComboBox, qMRMLSceneModel and
qMRMLSortFilterProxyModel):

- A node that is removed goes from the list before it goes from the scene; if it was chosen, Qt chooses its neighbour.
- While a scene is imported no node is listed. At the end of an import, and of closing, all are listed anew, and nothing
  is chosen any more. The boxes observe the scene before the panel does, so they do this first.
- `currentNodeChanged` follows the text of the box: renaming the chosen node sends it again. With Qt 6 another node of
  the same name does not send it; `nodeActivated` is sent whenever a person chooses.
- Without an entry for none, the first node that comes is chosen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

SIGNALS = {"currentNodeChanged(vtkMRMLNode*)": "nodeChanged", "nodeActivated(vtkMRMLNode*)": "nodeChosen"}


def _told(widget: NodeComboBox, method: str) -> Callable[..., None]:
    """Tells `widget` of events while it lives. Held strongly, both would go in one garbage collection, whose last event
    would then call what is half taken apart.
    """
    seen = weakref.ref(widget)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def tell(caller: Any, _event: str, node: Any = None) -> None:
        alive = seen()
        if alive is not None and shiboken6.isValid(alive) and getattr(alive, "_box", None) is not None:
            getattr(alive, method)(node if node is not None else caller)

    return tell


class NodeComboBox(QtWidgets.QWidget):
    """Lists the scene's nodes of some classes: see the top of this file."""

    nodeChanged = QtCore.Signal(object)  # noqa: N815
    nodeChosen = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._watched: dict[str, tuple[Any, int]] = {}
        self._types: list[str] = []
        self._none_enabled, self._none_text = False, "None"
        self._children_shown = True
        self._wanted: dict[str, tuple[str, str]] = {}
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._model = QtGui.QStandardItemModel(self)
        self._box = QtWidgets.QComboBox(self)
        self._box.setModel(self._model)
        self._box.currentTextChanged.connect(self._text_changed)
        self._box.activated.connect(lambda row: self.nodeChosen.emit(self._node_of(row)))
        layout.addWidget(self._box)

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags, self._scene = [], scene
        if scene is not None:
            for event, method, priority in (
                (scene.NodeAddedEvent, "_added", 10.0),
                (scene.NodeAboutToBeRemovedEvent, "_about_to_be_removed", -10.0),
                (scene.EndCloseEvent, "_fill", 0.0),
                (scene.EndImportEvent, "_fill", 0.0),
            ):
                self._tags.append(scene.AddObserver(event, _told(self, method), priority))
        self._fill()

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene

    def currentNode(self) -> Any:  # noqa: N802
        return self._node_of(self._box.currentIndex())

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str) -> None:  # noqa: N802
        row = self._row_of(node_id)
        self._box.setCurrentIndex(row if row >= 0 else self._first - 1)

    def addAttribute(self, kind: str, name: str, value: str) -> None:  # noqa: N802
        """List only those nodes of a class that have this attribute."""
        self._wanted[kind] = (name, value)
        self._fill()

    def nodeCount(self) -> int:  # noqa: N802
        return self._model.rowCount() - self._first

    @property
    def _first(self) -> int:
        """The row of the first node."""
        return int(self._none_enabled)

    def _node_of(self, row: int) -> Any:
        item = self._model.item(row) if row >= 0 else None
        node_id = item.data() if item is not None else None
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def _row_of(self, node_id: str) -> int:
        rows = range(self._first, self._model.rowCount())
        return next((row for row in rows if self._model.item(row).data() == node_id), -1)

    def _fill(self, _scene: Any = None) -> None:
        """All nodes go, and with them what was chosen; then they come again."""
        self._model.removeRows(self._first, self.nodeCount())
        for node, tag in self._watched.values():
            node.RemoveObserver(tag)
        self._watched.clear()
        for n in range(self._scene.GetNumberOfNodes()) if self._scene is not None else ():
            self._insert(self._scene.GetNthNode(n))

    def _added(self, node: Any) -> None:
        if not self._scene.IsImporting():
            self._insert(node)

    def _insert(self, node: Any) -> None:
        if not any(self._is_of(node, kind) for kind in self._types) or node.GetHideFromEditors():
            return
        if node.GetID() not in self._watched:
            self._watched[node.GetID()] = node, node.AddObserver("ModifiedEvent", _told(self, "_modified"))
        self._modified(node)

    def _modified(self, node: Any) -> None:
        """List a node or not, by its name."""
        row, name = self._row_of(node.GetID()), node.GetName() or ""
        is_listed = not node.GetHideFromEditors() and self._has_attribute(node)
        if is_listed and row < 0:
            item = QtGui.QStandardItem(name)
            item.setData(node.GetID())
            self._model.appendRow(item)
        elif is_listed:
            self._model.item(row).setText(name)
        elif row >= 0:
            self._model.removeRow(row)

    def _about_to_be_removed(self, node: Any) -> None:
        if self._scene.IsClosing():
            return
        watched, tag = self._watched.pop(node.GetID(), (None, 0))
        if watched is not None:
            watched.RemoveObserver(tag)
        if (row := self._row_of(node.GetID())) >= 0:
            self._model.removeRow(row)

    def _is_of(self, node: Any, kind: str) -> bool:
        """Slicer's box also lists derived classes, as label maps among scalar volumes, unless told not to."""
        return node.IsA(kind) if self._children_shown else node.GetClassName() == kind

    def _has_attribute(self, node: Any) -> bool:
        wanted = (self._wanted[kind] for kind in self._types if kind in self._wanted and self._is_of(node, kind))
        return all(node.GetAttribute(name) == value for name, value in wanted)

    def _text_changed(self, _text: str) -> None:
        self.nodeChanged.emit(self.currentNode())

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _set_none_enabled(self, enabled: bool) -> None:
        if enabled != self._none_enabled:
            self._none_enabled = enabled
            self._model.insertRow(0, QtGui.QStandardItem(self._none_text)) if enabled else self._model.removeRow(0)

    def _set_children_shown(self, shown: bool) -> None:
        self._children_shown = shown
        self._fill()

    def _set_none_text(self, text: str) -> None:
        self._none_text = text
        if self._none_enabled:
            self._model.item(0).setText(text)

    nodeTypes = QtCore.Property("QStringList", lambda self: self._types, _set_types)  # noqa: N815
    showChildNodeTypes = QtCore.Property(bool, lambda self: self._children_shown, _set_children_shown)  # noqa: N815
    noneEnabled = QtCore.Property(bool, lambda self: self._none_enabled, _set_none_enabled)  # noqa: N815
    noneDisplay = QtCore.Property(str, lambda self: self._none_text, _set_none_text)  # noqa: N815
    addEnabled = QtCore.Property(bool, lambda self: False, lambda self, value: None)  # noqa: N815
    removeEnabled = QtCore.Property(bool, lambda self: False, lambda self, value: None)  # noqa: N815
