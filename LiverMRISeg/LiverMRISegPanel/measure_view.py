"""The section Measure: organs and maps in a table, as a file, and the segmentation as DICOM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt

from LiverMRISegLib.inference.worker.tasks import export_request, measure_request
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.measurement.maps import IMAGE
from LiverMRISegPanel.log_view import LogView
from LiverMRISegPanel.result_table import ResultTable, save_text
from LiverMRISegPanel.tables import fit_columns, show_only
from LiverMRISegPanel.words import breakable
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.dicom_database import add_to_database, can_write, free_folder
from LiverMRISegScene.job_queue import JobQueue
from LiverMRISegScene.measuring import MapChoice, export_task, measure_task, quantities_not_applied, table_of
from LiverMRISegScene.segment_editor import source_volume

_NO_PAIR, _WATER_AND_FAT, _PHASES = range(3)
_KINDS = ("", "water and fat", "in and out of phase")
_OUTLIERS = 3.0
_WIDEST = 110


class MeasureView:
    """The measure section of the panel.

    Args:
        ui: the panel's widgets.
        queue: lets the worker measure and export.
        table: shows the segmentation that is measured.
        log: records what happens.
        changed: called when the worker begins or ends something.
    """

    def __init__(self, ui: Any, queue: JobQueue, table: ResultTable, log: LogView, changed: Callable[[], None]) -> None:
        self.ui, self._queue, self._table, self._log, self._changed = ui, queue, table, log, changed
        self._reply: Mapping[str, Any] = {"header": [], "rows": []}
        self._state: tuple[Any, ...] = ()
        for text in (_("no pair of images"), _("water and fat images"), _("in- and out-of-phase images")):
            ui.fatPairSelector.addItem(text)
        show_only(ui.measureTable)
        ui.fatPairSelector.connect("currentIndexChanged(int)", self._pair_changed)
        ui.measureButton.connect("clicked(bool)", self._measure)
        ui.measureExportButton.connect("clicked(bool)", self._save)
        ui.dicomButton.connect("clicked(bool)", self._export)
        self._pair_changed(_NO_PAIR)
        self.reset()
        table.changed = self._check_is_current

    def reset(self) -> None:
        """An empty table."""
        self._show({"header": [], "rows": []})

    def update(self) -> None:
        """Update the state of the buttons."""
        can = self._table.node is not None and not self._queue.is_busy
        self.ui.measureButton.setEnabled(can)
        self.ui.dicomButton.setEnabled(can)
        self.ui.measureExportButton.setEnabled(bool(self._reply["rows"]))

    @property
    def _maps(self) -> list[MapChoice]:
        chosen = (
            ("PDFF", self.ui.pdffSelector), ("R2*", self.ui.r2starSelector), ("T1", self.ui.t1Selector),
            ("ADC", self.ui.adcSelector),
        )  # fmt: skip
        maps = [MapChoice(name, box.currentNode()) for name, box in chosen if box.currentNode() is not None]
        other = self.ui.otherMapSelector.currentNode()
        if other is not None:
            maps.append(MapChoice(IMAGE if other is self._volume() else str(other.GetName()), other))
        kind = self.ui.fatPairSelector.currentIndex
        first, second = self.ui.fatFirstSelector.currentNode(), self.ui.fatSecondSelector.currentNode()
        if kind != _NO_PAIR and first is not None:
            maps.append(MapChoice(_("fat fraction"), first, second, _KINDS[kind]))
        return maps

    @property
    def _rules(self) -> dict[str, Any]:
        outliers = _OUTLIERS if self.ui.outliersCheck.checked else None
        return {"erosion_mm": float(self.ui.erosionSpin.value), "outliers": outliers}

    def _pair_changed(self, kind: int) -> None:
        for box in (self.ui.fatFirstSelector, self.ui.fatSecondSelector):
            box.setEnabled(kind != _NO_PAIR)

    def _measure(self, _checked: bool = False) -> None:
        node, volume = self._table.node, self._volume()
        if node is None or volume is None or self._lacks_an_image():
            return
        self._say(_("Measuring ..."))
        self._table.refresh()  # it is a moment behind what is drawn
        self._state = self._table.state
        self._queue.ask(
            lambda folder: measure_request(measure_task(node, volume, self._maps, folder, **self._rules)),
            self._measured,
            self._failed,
        )
        self._changed()

    def _measured(self, reply: Mapping[str, Any]) -> None:
        self._show(reply)
        self._say(" ".join((_("Measured."), *quantities_not_applied(self._maps))))
        self._check_is_current()

    def _check_is_current(self) -> None:
        """Figures of another segmentation, or of one that was edited since, must not be taken for those of this one."""
        if self._reply["rows"] and self._table.state != self._state:
            self.reset()
            self._say(_("The segmentation has changed since it was measured; click Measure again."))

    def _export(self, _checked: bool = False) -> None:
        node, volume = self._table.node, self._volume()
        if node is None or volume is None or self._lacks_an_image():
            return
        if not can_write():
            self._failed(_("DICOM SEG and SR need the package highdicom, which Slicer has since version 5.12"))
            return
        chosen = qt.QFileDialog.getExistingDirectory(self.ui.dicomButton, _("Folder for the DICOM files"))
        if not chosen:
            return
        self._say(_("Exporting ..."))
        self._queue.ask(
            lambda folder: export_request(
                export_task(node, volume, self._maps, folder, free_folder(Path(chosen)), **self._rules)
            ),
            self._exported,
            self._failed,
        )
        self._changed()

    def _exported(self, reply: Mapping[str, Any]) -> None:
        folder = Path(reply["files"][0]).parent
        text = _("Exported {n} files to {folder}.").format(n=len(reply["files"]), folder=folder)
        if add_to_database(folder):
            text += " " + _("They are in Slicer's DICOM database.")
        self._say(text)
        self._log.add_hidden(text, [folder])

    def _failed(self, why: str) -> None:
        self._say(_("Failed: {why}").format(why=why))
        self._log.add_hidden(why)

    def _say(self, text: str) -> None:
        self.ui.statusLabel.setText(breakable(text))
        self._changed()

    def _volume(self) -> Any:
        """The volume whose grid the segments are measured on."""
        node = self._table.node
        volume = source_volume(node) if node is not None else None
        if volume is None:
            volume = self.ui.inputSelector.currentNode()
        if volume is None or not volume.IsA("vtkMRMLScalarVolumeNode"):
            self._say(_("The volume of this segmentation is not in the scene; choose it above."))
            return None
        return volume

    def _lacks_an_image(self) -> bool:
        """Whether a fat fraction is wanted of two images that are not both chosen; it is said."""
        pair = (self.ui.fatFirstSelector.currentNode(), self.ui.fatSecondSelector.currentNode())
        lacks = self.ui.fatPairSelector.currentIndex != _NO_PAIR and None in pair
        if lacks:
            self._say(_("Choose both images of the fat fraction, or no pair of images."))
        return lacks

    def _show(self, reply: Mapping[str, Any]) -> None:
        self._reply = reply
        table, rows = self.ui.measureTable, [_shown(row) for row in table_of(reply)]
        figures = (_("Mean"), _("SD"), _("Median"), _("5-95 %"))
        titles = [_("Organ"), _("mL"), _("Map"), *figures, _("Length"), _("Remarks")]
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        table.horizontalHeaderItem(titles.index(figures[-1])).setToolTip(
            _("The 5th and the 95th percentile of the map's values in the organ")
        )
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(number, column, item)
        fit_columns(table, range(len(titles)), _WIDEST)
        table.horizontalHeader().setStretchLastSection(True)
        self.update()

    def _save(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getSaveFileName(
            self.ui.measureTable, _("Save figures"), "measurements.csv", "CSV (*.csv)"
        )
        if path:
            save_text(path, csv_table(self._reply["header"], self._reply["rows"]))


def _shown(row: Mapping[str, str]) -> list[str]:
    """The cells of a row of the worker's table that are shown."""
    unit = f" {row['unit']}" if row["unit"] and row["mean"] else ""
    spread = f"{_short(row['p5'])} - {_short(row['p95'])}{unit}" if row["p5"] else ""
    length = f"{_short(row['longest_mm'])} mm" if row["longest_mm"] else ""
    figures = [f"{_short(row[name])}{unit}" if row[name] else "" for name in ("mean", "sd", "median")]
    return [row["organ"], _short(row["volume_ml"]), row["map"], *figures, spread, length, row["remarks"]]


def _short(figure: str) -> str:
    """A figure with four digits."""
    return f"{float(figure):.4g}" if figure else ""
