"""QUiLoader that makes the host's classes, and connects in Python what a .ui file's <connections> ask for."""

from __future__ import annotations

import types
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from slicer_host.qt_classes import LOADING


def make_loader(modules: list[types.ModuleType]) -> type:
    """A QUiLoader class whose widgets and layouts are those of `modules`, looked up by name."""

    def find(name: str) -> Any:
        return next((getattr(module, name) for module in modules if hasattr(module, name)), None)

    class QUiLoader(QtUiTools.QUiLoader):
        def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:  # noqa: N802
            try:  # an exception must not reach Qt, which would crash
                widget = find(class_name)(parent)
            except Exception as error:
                self._failed.append(f"{class_name} {name}: {error}")
                widget = QtWidgets.QWidget(parent)
            widget.setObjectName(name)
            self._kept.append(widget)
            return widget

        def createLayout(self, class_name: str, parent: Any = None, name: str = "") -> Any:  # noqa: N802
            # Qt gives the outer layout as parent of an inner one, and adds the inner itself.
            layout = find(class_name)(*([parent] if isinstance(parent, QtWidgets.QWidget) else []))
            layout.setObjectName(name)
            self._kept.append(layout)
            return layout

        def load(self, file: Any, parent: Any = None) -> Any:
            self._kept: list[Any] = []
            self._failed: list[str] = []
            root = ElementTree.fromstring(bytes(file.readAll().data()))
            connections = root.find("connections")
            if connections is not None:
                root.remove(connections)
            _resolve_flags(root, find)
            buffer = QtCore.QBuffer()
            buffer.setData(ElementTree.tostring(root))
            buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
            LOADING.append("ui")
            try:
                widget = super().load(buffer, parent)
            finally:
                LOADING.clear()
            if self._failed:
                raise RuntimeError(f"the host cannot make: {'; '.join(self._failed)}")
            widget.__dict__["_host_children"] = self._kept  # the Python side of each child lives as long as the top
            for connection in connections if connections is not None else ():
                _connect(widget, connection)
            return widget

    return QUiLoader


def _resolve_flags(root: ElementTree.Element, find: Any) -> None:
    """Flags of custom widgets (<set>ctkPathLineEdit::Dirs</set>) as numbers: PySide knows none of a Python class."""
    for flags in root.iter("set"):
        names = (flags.text or "").split("|")
        if all(name.startswith("ctk") for name in names):
            values = [getattr(find(kind), flag) for kind, _, flag in (name.partition("::") for name in names)]
            flags.tag, flags.text = "number", str(sum(values))


def _connect(widget: Any, connection: ElementTree.Element) -> None:
    def named(tag: str) -> Any:
        name = connection.findtext(tag)
        everyone = [widget, *widget.__dict__["_host_children"]]
        return next(w for w in everyone if w.objectName == name)

    slot = (connection.findtext("slot") or "").split("(")[0]
    named("sender").connect(connection.findtext("signal"), getattr(named("receiver"), slot))
