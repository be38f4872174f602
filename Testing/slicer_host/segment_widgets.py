"""Slicer's widgets for segmentations, as far as the panel uses them, over the real nodes and the editor's real logic.

Rules taken from Slicer 5.10 (Modules/Loadable/Segmentations/Widgets, Modules/Scripted/SegmentEditor):

- qMRMLSegmentsTableView lists the segments of its node and follows it; its eyes are the display node's visibility.
- qMRMLSegmentationShow3DButton is enabled where there is a segment and closed surfaces are not the source, and checked
  where there is a closed surface; pressed it makes that representation, released it removes it. It shows nothing that
  is hidden in 3D.
- The Segment Editor's widget takes nodes only after it has a parameter node (vtkMRMLSegmentEditorNode), which its
  module gives it when it is entered; closing the scene takes it away. A segmentation brings its own source volume.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets

_SURFACE = "Closed surface"


class _Follower:
    """Observes one segmentation node, held weakly from its side."""

    def __init__(self, widget: Any, update: str) -> None:
        self._widget, self._update = weakref.ref(widget), update
        self._node: Any = None
        self._tags: list[int] = []

    def follow(self, node: Any) -> None:
        import slicer

        if self._node is not None:
            for tag in self._tags:
                self._node.RemoveObserver(tag)
        self._node, self._tags = node, []
        kinds = slicer.vtkSegmentation
        if node is not None:
            for event in (
                kinds.SegmentAdded,
                kinds.SegmentRemoved,
                kinds.SegmentModified,
                kinds.ContainedRepresentationNamesModified,
                node.SegmentationChangedEvent,
            ):
                self._tags.append(node.AddObserver(event, self._happened))

    def _happened(self, *_: Any) -> None:
        widget = self._widget()
        if widget is not None and shiboken6.isValid(widget):
            getattr(widget, self._update)()


def _flag(name: str) -> tuple[Callable[[Any], bool], Callable[[Any, bool], None]]:
    """Reads and writes a property that changes nothing here."""
    return lambda widget: widget._flags[name], lambda widget, value: widget._flags.__setitem__(name, value)


class SegmentsTableView(QtWidgets.QWidget):
    """qMRMLSegmentsTableView: visibility, colour, opacity and name of each segment."""

    _COLUMNS = ("", "", "Opacity", "Name")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._flags = dict.fromkeys(("status", "filter"), True)
        self._node: Any = None
        self._scene: Any = None
        self._follower = _Follower(self, "_fill")
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._table = QtWidgets.QTableWidget(0, len(self._COLUMNS), self)
        self._table.setHorizontalHeaderLabels(self._COLUMNS)
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.verticalHeader().setVisible(False)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.itemChanged.connect(self._edited)
        layout.addWidget(self._table)

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._scene = scene

    def mrmlScene(self) -> Any:  # noqa: N802
        return self._scene

    def segmentationNode(self) -> Any:  # noqa: N802
        return self._node

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        self._node = node
        self._follower.follow(node)
        self._fill()

    def tableWidget(self) -> Any:  # noqa: N802
        return self._table

    def displayedSegmentIDs(self) -> tuple[str, ...]:  # noqa: N802
        if self._node is None:
            return ()
        inner = self._node.GetSegmentation()
        return tuple(inner.GetNthSegmentID(n) for n in range(inner.GetNumberOfSegments()))

    def _fill(self) -> None:
        blocked = self._table.blockSignals(True)
        ids = self.displayedSegmentIDs()
        self._table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment, display = self._node.GetSegmentation().GetSegment(segment_id), self._node.GetDisplayNode()
            eye, color = QtWidgets.QTableWidgetItem(), QtWidgets.QTableWidgetItem()
            shown = display is None or display.GetSegmentVisibility(segment_id)
            eye.setCheckState(QtCore.Qt.CheckState.Checked if shown else QtCore.Qt.CheckState.Unchecked)
            color.setBackground(_color(segment))
            opacity = display.GetSegmentOpacity3D(segment_id) if display is not None else 1.0
            texts = (QtWidgets.QTableWidgetItem(f"{opacity:.2f}"), QtWidgets.QTableWidgetItem(segment.GetName()))
            for column, item in enumerate((eye, color, *texts)):
                self._table.setItem(row, column, item)
        for column in (0, 1, 2):
            self._table.resizeColumnToContents(column)
        self._table.resizeRowsToContents()
        self._table.blockSignals(blocked)

    def _edited(self, item: Any) -> None:
        segment_id = self.displayedSegmentIDs()[item.row()]
        if item.column() == 0 and self._node.GetDisplayNode() is not None:
            visible = item.checkState() == QtCore.Qt.CheckState.Checked
            self._node.GetDisplayNode().SetSegmentVisibility(segment_id, visible)
        elif item.column() == len(self._COLUMNS) - 1:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())

    segmentCount = QtCore.Property(int, lambda self: len(self.displayedSegmentIDs()))  # noqa: N815
    statusColumnVisible = QtCore.Property(bool, *_flag("status"))  # noqa: N815
    filterBarVisible = QtCore.Property(bool, *_flag("filter"))  # noqa: N815


class Show3DButton(QtWidgets.QPushButton):
    """qMRMLSegmentationShow3DButton."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__("Show 3D", parent)
        self._node: Any = None
        self._follower = _Follower(self, "_update")
        self.setCheckable(True)
        QtWidgets.QAbstractButton.setEnabled(self, False)
        self.toggled.connect(self._toggled)

    def segmentationNode(self) -> Any:  # noqa: N802
        return self._node

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        self._node = node
        self._follower.follow(node)
        self._update()

    def _update(self) -> None:
        inner = self._node.GetSegmentation() if self._node is not None else None
        is_source = inner is not None and inner.GetSourceRepresentationName() == _SURFACE
        self.setEnabled(inner is not None and inner.GetNumberOfSegments() > 0 and not is_source)
        if inner is not None:
            blocked = self.blockSignals(True)
            self.setChecked(inner.ContainsRepresentation(_SURFACE))
            self.blockSignals(blocked)

    def _toggled(self, on: bool) -> None:
        if self._node is None:
            return
        inner, display = self._node.GetSegmentation(), self._node.GetDisplayNode()
        if on and inner.CreateRepresentation(_SURFACE) and display is not None:
            display.SetPreferredDisplayRepresentationName3D(_SURFACE)
        elif not on:
            inner.RemoveRepresentation(_SURFACE)


class SegmentEditorWidget(QtWidgets.QWidget):
    """qMRMLSegmentEditorWidget over Slicer's own vtkSlicerSegmentEditorLogic."""

    def __init__(self, parent: Any = None) -> None:
        import slicer

        super().__init__(parent)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._scene = scene
        self._logic.SetMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:  # noqa: N802
        self._logic.SetSegmentEditorNode(node)

    def segmentationNode(self) -> Any:  # noqa: N802
        return self._logic.GetSegmentationNode()

    def segmentationNodeID(self) -> str:  # noqa: N802
        node = self.segmentationNode()
        return node.GetID() if node is not None else ""

    def setSegmentationNode(self, node: Any) -> None:  # noqa: N802
        if self._logic.GetSegmentEditorNode() is None:
            return  # Slicer says so on its error log, and does nothing
        self._logic.SetSegmentationNode(node)

    def sourceVolumeNode(self) -> Any:  # noqa: N802
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self) -> str:  # noqa: N802
        node = self.sourceVolumeNode()
        return node.GetID() if node is not None else ""

    def setSourceVolumeNode(self, node: Any) -> None:  # noqa: N802
        if self._logic.GetSegmentEditorNode() is not None:
            self._logic.SetSourceVolumeNode(node)

    def currentSegmentID(self) -> str:  # noqa: N802
        return str(self._logic.GetCurrentSegmentID())

    def setCurrentSegmentID(self, segment_id: str) -> None:  # noqa: N802
        node = self._logic.GetSegmentEditorNode()
        if node is not None:
            node.SetSelectedSegmentID(segment_id)


def _color(segment: Any) -> Any:
    from PySide6 import QtGui

    return QtGui.QColor(*(round(255 * part) for part in segment.GetColor()))
