"""The result of one volume: organs, their volumes and what to check; shown or hidden in 2D and 3D, copied, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.logic import SceneResult
from LiverMRISegScene.segmentations import segment_ids, show_in_3d

_ORGAN, _ML, _SLICES, _IN_3D, _LOOK = range(5)


class ResultTable:
    """The result section of the panel."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._result: SceneResult | None = None
        table = ui.resultTable
        table.setColumnCount(5)
        table.setHorizontalHeaderLabels([_("Organ"), _("mL"), _("2D"), _("3D"), _("Check")])
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.verticalHeader().setVisible(False)
        table.horizontalHeader().setStretchLastSection(True)
        table.setWordWrap(False)  # a long flag must not make its row high; all of it is below the table
        table.connect("itemChanged(QTableWidgetItem*)", self._checked)
        ui.show3DButton.connect("toggled(bool)", self._show_3d)
        ui.copyButton.connect("clicked(bool)", self._copy)
        ui.exportButton.connect("clicked(bool)", self._export)
        self.show(None)

    def show(self, result: SceneResult | None) -> None:
        """Show a result, or nothing."""
        self._result = result
        for button in (self.ui.show3DButton, self.ui.copyButton, self.ui.exportButton):
            button.setEnabled(result is not None)
        self.ui.show3DButton.setChecked(False)
        organs = list(result.volumes_ml) if result is not None else []
        flags = result.flags if result is not None else ()
        self.ui.flagsLabel.setText("<br>".join(f"\u26a0 {flag}" for flag in flags))
        self.ui.flagsLabel.setVisible(bool(flags))
        self._fill(organs)

    @property
    def node(self) -> Any:
        """The segmentation that is shown; None if there is none, or it was removed from the scene."""
        node = self._result.node if self._result is not None else None
        return node if node is not None and node.GetScene() is not None else None

    def use_node(self, node: Any) -> None:
        """The result is now in another segmentation node: the user has accepted it."""
        if self._result is not None:
            self.show(SceneResult(self._result.name, node, self._result.volumes_ml, self._result.flags))

    def as_text(self, separator: str) -> str:
        """The table as text, with a line for every organ."""
        result = self._result
        if result is None:
            return ""
        rows = ((organ, f"{volume:.1f}", self._flags_of(organ)) for organ, volume in result.volumes_ml.items())
        return csv_table(("organ", "volume mL", "check"), rows, separator)

    def _fill(self, organs: list[str]) -> None:
        table, result = self.ui.resultTable, self._result
        blocked = table.blockSignals(True)
        table.setRowCount(len(organs))
        shown = set(segment_ids(self.node)) if self.node is not None else set()
        for row, organ in enumerate(organs):
            is_there = _segment_id(organ) in shown
            table.setItem(row, _ORGAN, self._name_item(organ, is_there))
            table.setItem(row, _ML, _right(f"{result.volumes_ml[organ]:.1f}" if result else ""))
            table.setItem(row, _SLICES, _check(organ, is_there))
            table.setItem(row, _IN_3D, _check(organ, is_there))
            table.setItem(row, _LOOK, qt.QTableWidgetItem(self._flags_of(organ)))
            table.item(row, _LOOK).setToolTip(self._flags_of(organ))
        table.blockSignals(blocked)
        for column in (_ORGAN, _ML, _SLICES, _IN_3D):
            table.resizeColumnToContents(column)
        table.resizeRowsToContents()

    def _name_item(self, organ: str, is_there: bool) -> Any:
        item = qt.QTableWidgetItem(organ)
        if is_there:
            color = self.node.GetSegmentation().GetSegment(_segment_id(organ)).GetColor()
            pixmap = qt.QPixmap(12, 12)
            pixmap.fill(qt.QColor(*(round(255 * c) for c in color)))
            item.setIcon(qt.QIcon(pixmap))
        return item

    def _flags_of(self, organ: str) -> str:
        flags = self._result.flags if self._result is not None else ()
        return "; ".join(flag.removeprefix(f"{organ} ") for flag in flags if flag.startswith(f"{organ} "))

    def _checked(self, item: Any) -> None:
        display = self.node.GetDisplayNode() if self.node is not None else None
        if display is None or item.column() not in (_SLICES, _IN_3D):
            return
        segment = _segment_id(self.ui.resultTable.item(item.row(), _ORGAN).text())
        visible = item.checkState() == qt.Qt.Checked
        if item.column() == _SLICES:
            display.SetSegmentVisibility2DFill(segment, visible)
            display.SetSegmentVisibility2DOutline(segment, visible)
        else:
            display.SetSegmentVisibility3D(segment, visible)

    def _show_3d(self, shown: bool) -> None:
        if self.node is not None:
            show_in_3d(self.node, shown)

    def _copy(self, _checked: bool = False) -> None:
        qt.QApplication.clipboard().setText(self.as_text("\t"))

    def _export(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getSaveFileName(self.ui.resultTable, _("Save volumes"), "volumes.csv", "CSV (*.csv)")
        if path:
            save_text(path, self.as_text(","))


def save_text(path: str, text: str) -> None:
    """Write a file, whole or not at all; a failure is shown in a dialog."""
    try:
        atomic_write_text(Path(path), text)
    except OutputError as error:
        slicer.util.errorDisplay(str(error))


def _segment_id(organ: str) -> str:
    return organ.replace(" ", "_")


def _right(text: str) -> Any:
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    return item


def _check(organ: str, is_there: bool) -> Any:
    item = qt.QTableWidgetItem()
    item.setToolTip(_("Show {organ}").format(organ=organ))
    if is_there:
        item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
        item.setCheckState(qt.Qt.Checked)
    else:
        item.setFlags(qt.Qt.NoItemFlags)
    return item
