"""The segmentation that is shown: its segments, their volumes as they are now, and what to check; copied, saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer

from LiverMRISegLib.anatomy import id_of
from LiverMRISegLib.errors import LiverMRISegError, OutputError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegPanel.segmentation_watch import SegmentationWatch
from LiverMRISegPanel.tables import fit_columns, show_only
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.checks import Checks
from LiverMRISegScene.frame_table import show_chart, update_row
from LiverMRISegScene.over_time import SequenceResult, over_time_of
from LiverMRISegScene.scene_result import SceneResult, read_result, write_result
from LiverMRISegScene.segment_names import organs_by_id
from LiverMRISegScene.segment_volumes import SegmentVolume, segment_volumes

_ORGAN, _ML, _TRUST, _LOOK = range(4)
_WIDEST = 160

Shown = tuple[SceneResult | None, SequenceResult | None]


class ResultTable:
    """The result section of the panel. Slicer's own widgets show the segments; the table beside has what they lack.

    `changed` is called when another segmentation is shown, or its segments were edited.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.changed: Callable[[], None] = lambda: None
        self._result: SceneResult | None = None
        self._over_time: SequenceResult | None = None
        self._is_new = False
        self._known: dict[str, Shown] = {}
        self._frame = 0
        self._edited_frames: set[int] = set()
        self._checks = Checks(SceneResult(""))
        self._rows: list[SegmentVolume] = []
        self._trouble = ""
        self._watch = SegmentationWatch(self._edited, self.refresh)
        table = ui.resultTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Organ"), _("mL"), _("Trust"), _("Check")])
        table.horizontalHeaderItem(_TRUST).setToolTip(
            _("How well the outline is likely to fit, from 0 to 1 (the Dice to be expected); empty once it is edited")
        )
        table.horizontalHeaderItem(_LOOK).setToolTip(_("What to look at before the volume is used"))
        show_only(table)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        table.horizontalHeader().setStretchLastSection(True)
        ui.copyButton.connect("clicked(bool)", self._copy)
        ui.exportButton.connect("clicked(bool)", self._export)
        ui.chartButton.connect("clicked(bool)", self._show_chart)
        self.show(None)

    def show(self, result: SceneResult | None) -> None:
        """Show a result, or nothing."""
        self._show(result, None)

    def show_over_time(self, result: SequenceResult) -> None:
        """Show the current frame of a sequence, and follow the browser."""
        self._show(result.current, result)

    @property
    def shown(self) -> Shown:
        """What is shown, to `put_back` it later."""
        return self._result, self._over_time

    def put_back(self, shown: Shown) -> None:
        """Show again what was shown."""
        self._show(*shown)

    def recall(self, node: Any) -> tuple[SceneResult, SequenceResult | None]:
        """A segmentation with what was said of it, since the panel was made or before the scene was saved."""
        result, over_time = self._known.get(node.GetID(), (None, None))
        if result is None or result.node is not node or (over_time is not None and not over_time.is_there):
            over_time = over_time_of(node)
            result = read_result(node)
        return (over_time.current if over_time is not None else result), over_time

    def said_of(self, node: Any) -> SceneResult:
        """What a run said of a segmentation; nothing of a frame that has no result, whose only flag says why."""
        result, over_time = self.recall(node)
        return result if over_time is None or result.volumes_ml else SceneResult(result.name, node)

    def tell(self, node: Any, result: SceneResult) -> None:
        """Show a segmentation, of which from now on this is said; it is saved with it."""
        self._show(result, None)
        write_result(node, self._result if self._result is not None else result)  # with what the segments measure now
        over_time = over_time_of(node)
        if over_time is not None:
            self._show(over_time.current, over_time)
            self.refresh()

    def forget(self) -> None:
        """Show nothing: the scene was closed."""
        self._known.clear()
        self.show(None)

    @property
    def node(self) -> Any:
        """The segmentation that is shown; None if there is none, or it was removed from the scene."""
        node = self._result.node if self._result is not None else None
        return node if node is not None and node.GetScene() is not None else None

    @property
    def state(self) -> tuple[Any, ...]:
        """Another one when another segmentation is shown, or its segments measure something else."""
        return (self.node, *self._rows)

    @property
    def selected_organ(self) -> str:
        """The organ of the selected row, of a segment of the user's own its name; empty if none is selected."""
        row = self.ui.resultTable.currentRow()
        if not 0 <= row < len(self._rows):
            return ""
        found = self._rows[row]
        if found.segment_id and (organ := organs_by_id(self.node).get(found.segment_id)):
            return organ
        organs = self._result.volumes_ml if self._result is not None else ()
        return next((organ for organ in organs if id_of(organ) == found.organ_id), found.key)

    @property
    def selected_segment(self) -> str:
        """The ID of the selected row's segment; empty if none is selected, or it was not found."""
        row = self.ui.resultTable.currentRow()
        return self._rows[row].segment_id if 0 <= row < len(self._rows) else ""

    def refresh(self) -> None:
        """Measure again: the segments were edited, or another frame is shown."""
        if self._over_time is not None and self.node is not None and not self._over_time.is_there:
            self._show(read_result(self.node), None)  # its browser was removed
        elif self._over_time is not None and self.node is not None:
            if self._over_time.number != self._frame:
                self._show(self._over_time.current, self._over_time)
                return
            if self._result is not None and not self._result.volumes_ml:  # what is in such a frame was drawn by hand
                self._result, self._is_new = self._over_time.current, True
            self._measure()
            self._edited_frames.discard(self._frame)
            self._write_edited_frames()
            if not self._trouble and self._over_time.table is not None:
                update_row(self._over_time.table, self._frame, self._rows, self._checks, self._over_time.organs)
        else:
            self._measure()
        self._fill()

    def close(self) -> None:
        """The panel closes: edits that come later are not for it."""
        self._watch.watch(None)

    def as_text(self, separator: str) -> str:
        """The table as text, with a line for every organ."""
        if self._result is None:
            return ""
        rows = ((row.key, *self._cells(row)) for row in self._rows)
        return csv_table(("organ", "volume mL", "trust", "check"), rows, separator)

    def _edited(self) -> None:
        if self._over_time is not None:
            self._edited_frames.add(self._over_time.number)

    def _write_edited_frames(self) -> None:
        """The rows of frames that were left before their edits had paused, and so were not measured yet."""
        over_time, numbers, self._edited_frames = self._over_time, self._edited_frames, set()
        if over_time is None or over_time.table is None or not over_time.is_there:
            return
        for number in sorted(numbers):
            with contextlib.suppress(LiverMRISegError):  # of which it is told when that frame is shown
                rows = over_time.segments_of(number)
                checks = Checks.of(over_time.of_frame(number), rows)
                update_row(over_time.table, number, rows, checks, over_time.organs)

    def _show(self, result: SceneResult | None, over_time: SequenceResult | None) -> None:
        self._write_edited_frames()
        self._result, self._over_time, self._is_new = result, over_time, True
        self._frame = over_time.number if over_time is not None else 0
        self.ui.segmentsView.setSegmentationNode(self.node)
        self.ui.show3DButton.setSegmentationNode(self.node)
        self._watch.watch(self.node)
        for button in (self.ui.copyButton, self.ui.exportButton):
            button.setEnabled(result is not None)
        for button in (self.ui.editButton, self.ui.againButton):
            button.setEnabled(self.node is not None)
        self.ui.chartButton.setVisible(over_time is not None and over_time.chart is not None)
        self.ui.resultTable.setColumnHidden(_TRUST, result is None or not result.trust)
        self._measure()
        self._fill()

    def _measure(self) -> None:
        """The segments of the node, then the organs that the run did not find; and what was edited."""
        result, self._trouble = self._result, ""
        try:
            found = segment_volumes(self.node) if self.node is not None else []
        except LiverMRISegError as error:
            found, self._trouble = [], str(error)
        there = {row.organ_id for row in found}
        other = result.volumes_ml.items() if result is not None else ()
        lost = [SegmentVolume("", organ, 0.0 if self.node is not None else ml) for organ, ml in other]
        self._rows = [] if self._trouble else [*found, *(row for row in lost if row.organ_id not in there)]
        if result is not None and self._is_new and not self._trouble:
            made = {row.organ_id: row.ml for row in self._rows}
            result = self._result = replace(result, made_ml={**made, **result.made_ml})
            self._is_new = False
        if result is not None and self.node is not None:
            self._known[self.node.GetID()] = result, self._over_time
        self._checks = Checks.of(result if result is not None else SceneResult(""), self._rows)

    def _fill(self) -> None:
        table = self.ui.resultTable
        current = table.item(table.currentRow(), _ORGAN)
        selected = current.data(qt.Qt.UserRole) if current is not None else None
        table.setRowCount(len(self._rows))
        for number, row in enumerate(self._rows):
            table.setItem(number, _ORGAN, self._name_item(row))
            ml, trust, look = self._cells(row)
            table.setItem(number, _ML, _right(ml))
            table.setItem(number, _TRUST, _right(trust))
            table.setItem(number, _LOOK, qt.QTableWidgetItem(look))
            table.item(number, _LOOK).setToolTip(look)
            if row.organ_id == selected:
                table.selectRow(number)
        fit_columns(table, (_ORGAN, _ML, _TRUST), _WIDEST)
        first = self._checks.first
        flags = [*([first] if first else []), *(f"\u26a0 {flag}" for flag in self._checks.all_flags)]
        said = [self._trouble] if self._trouble else flags
        self.ui.flagsLabel.setText("\n".join(said))
        self.ui.flagsLabel.setVisible(bool(said))
        self.changed()

    def _name_item(self, row: SegmentVolume) -> Any:
        item = qt.QTableWidgetItem(row.key)
        item.setData(qt.Qt.UserRole, row.organ_id)
        segment = self.node.GetSegmentation().GetSegment(row.segment_id) if row.segment_id else None
        if segment is not None:
            pixmap = qt.QPixmap(12, 12)
            pixmap.fill(qt.QColor(*(round(255 * c) for c in segment.GetColor())))
            item.setIcon(qt.QIcon(pixmap))
        return item

    def _cells(self, row: SegmentVolume) -> tuple[str, str, str]:
        """Volume, trust and what to check; an edited outline is the user's own, and has no trust."""
        score = self._checks.trust_of(row.organ_id)
        look = "; ".join(self._checks.of_segment(row.organ_id))
        return f"{row.ml:.1f}", "" if score is None else f"{score:.2f}", look

    def _show_chart(self, _checked: bool = False) -> None:
        chart = self._over_time.chart if self._over_time is not None else None
        if chart is not None and chart.GetScene() is not None:
            show_chart(chart)

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


def _right(text: str) -> Any:
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    return item
