"""The few widgets of CTK that the panel uses."""

from __future__ import annotations

import sys
import types
from typing import Any

from PySide6 import QtCore, QtWidgets

from slicer_host.qt_classes import python_class


class _CollapsibleButton(QtWidgets.QWidget):
    """A title that folds its contents."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._title = QtWidgets.QToolButton(self)
        self._explicit: dict[Any, bool] = {}
        self._is_folding = False
        self._title.setCheckable(True)
        self._title.setChecked(True)
        self._title.setAutoRaise(True)
        self._title.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._title.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self._title.toggled.connect(self._toggled)
        self._height = self._title.sizeHint().height() + 4
        self.setContentsMargins(0, self._height, 0, 2)
        self._toggled(True)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        self._title.setGeometry(0, 0, super().width(), self._height)
        super().resizeEvent(event)

    def _toggled(self, opened: bool) -> None:
        arrow = QtCore.Qt.ArrowType.DownArrow if opened else QtCore.Qt.ArrowType.RightArrow
        self._title.setArrowType(arrow)
        for child in self._contents():
            self._fold(child, not opened)
        self.setMaximumHeight(16777215 if opened else self._height + 4)
        self.contentsCollapsed.emit(not opened)

    def childEvent(self, event: Any) -> None:  # noqa: N802
        super().childEvent(event)
        if event.added() and isinstance(event.child(), QtWidgets.QWidget) and hasattr(self, "_explicit"):
            event.child().installEventFilter(self)
            if self._get_collapsed():
                self._fold(event.child(), True)

    def eventFilter(self, child: Any, event: Any) -> bool:  # noqa: N802
        """Remember what the panel shows and hides itself, also while this is folded."""
        if not self._is_folding and event.type() in (QtCore.QEvent.Type.ShowToParent, QtCore.QEvent.Type.HideToParent):
            self._explicit[child] = event.type() == QtCore.QEvent.Type.ShowToParent
            if self._get_collapsed():
                self._fold(child, True)
        return False

    def _fold(self, child: Any, folded: bool) -> None:
        self._is_folding = True
        child.setVisible(not folded and self._explicit.get(child, True))
        self._is_folding = False

    def _contents(self) -> list[Any]:
        mine = QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        return [c for c in self.findChildren(QtWidgets.QWidget, options=mine) if c is not self._title]

    def _get_collapsed(self) -> bool:
        return not self._title.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self._title.setChecked(not collapsed)

    def _get_text(self) -> str:
        return self._title.text()

    def _set_text(self, text: str) -> None:
        self._title.setText(text)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)
    text = QtCore.Property(str, _get_text, _set_text)


class _ArrowStyle(QtWidgets.QProxyStyle):
    """An arrow, up where the box is open and down where it is folded, for a check mark (ctkCollapsibleGroupBox.cpp)."""

    def drawPrimitive(self, element: Any, option: Any, painter: Any, widget: Any = None) -> None:  # noqa: N802
        kinds = QtWidgets.QStyle.PrimitiveElement
        if element == kinds.PE_IndicatorCheckBox:
            is_open = option.state & QtWidgets.QStyle.StateFlag.State_On
            element = kinds.PE_IndicatorArrowUp if is_open else kinds.PE_IndicatorArrowDown
        super().drawPrimitive(element, option, painter, widget)


class _CollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that folds by an arrow beside its title."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        style = _ArrowStyle()
        style.setParent(QtWidgets.QApplication.instance())  # a widget does not own its style
        self.setStyle(style)
        self.setCheckable(True)
        self.toggled.connect(self._toggled)

    def _toggled(self, opened: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(opened)
        self.setMaximumHeight(16777215 if opened else self.fontMetrics().height() + 6)

    def childEvent(self, event: Any) -> None:  # noqa: N802
        super().childEvent(event)
        if event.added() and not self.isChecked() and isinstance(event.child(), QtWidgets.QWidget):
            event.child().setVisible(False)

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)


class _PathLineEdit(QtWidgets.QWidget):
    """A path with a history, and a button to browse, whose dialog depends on `filters` (ctkPathLineEdit.cpp)."""

    currentPathChanged = QtCore.Signal(str)  # noqa: N815
    Dirs, Files, Drives, Readable, Writable, Executable = 0x1, 0x2, 0x4, 0x10, 0x20, 0x40
    _MOST_REMEMBERED = 5

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._filters = self.Dirs | self.Files | self.Drives | self.Readable | self.Executable
        self._key = ""
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._box = QtWidgets.QComboBox(self)
        self._box.setEditable(True)
        self._box.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self._box.editTextChanged.connect(self.currentPathChanged)
        layout.addWidget(self._box, 1)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        self._button.clicked.connect(self.browse)
        layout.addWidget(self._button)

    def browse(self) -> None:
        dialogs = sys.modules["qt"].QFileDialog
        if not self._filters & self.Files:
            path = dialogs.getExistingDirectory(self, "Select a directory...", self._get_path())
        elif self._filters & self.Writable:
            path = dialogs.getSaveFileName(self, "Select a file to save", self._get_path())
        else:
            path = dialogs.getOpenFileName(self, "Open a file", self._get_path())
        if path:
            self._set_path(path)

    def addCurrentPathToHistory(self) -> None:  # noqa: N802
        path = self._get_path()
        if path:
            others = [other for other in self._history() if other != path]
            _settings().setValue(self._setting(), [path, *others])
            self.retrieveHistory()

    def retrieveHistory(self) -> None:  # noqa: N802
        """Without a path, the one that was used last is chosen."""
        path = self._get_path()
        self._box.clear()
        self._box.addItems(self._history()[: self._MOST_REMEMBERED])
        if path:
            self._set_path(path)

    def _history(self) -> list[str]:
        found = _settings().value(self._setting()) or []
        return [found] if isinstance(found, str) else list(found)

    def _setting(self) -> str:
        return f"ctkPathLineEdit/{self._key or QtCore.QObject.objectName(self)}"

    def _get_path(self) -> str:
        return self._box.currentText()

    def _set_path(self, path: str) -> None:
        self._box.setEditText(path)

    def _set_filters(self, filters: int) -> None:
        self._filters = filters

    def _set_key(self, key: str) -> None:
        self._key = key
        self.retrieveHistory()

    currentPath = QtCore.Property(str, _get_path, _set_path)  # noqa: N815
    filters = QtCore.Property(int, lambda self: self._filters, _set_filters)
    settingKey = QtCore.Property(str, lambda self: self._key, _set_key)  # noqa: N815


def _settings() -> Any:
    import slicer

    return slicer.app.settings()


def make_ctk_module() -> types.ModuleType:
    """The module `ctk`."""
    module = types.ModuleType("ctk", "Widgets of CTK, made by the host.")
    for name, base in (
        ("ctkCollapsibleButton", _CollapsibleButton),
        ("ctkCollapsibleGroupBox", _CollapsibleGroupBox),
        ("ctkPathLineEdit", _PathLineEdit),
    ):
        made = python_class(base)
        made.__name__ = name
        setattr(module, name, made)
    return module
