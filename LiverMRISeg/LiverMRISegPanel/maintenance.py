"""The models on this computer, and a check of the installation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import qt
import slicer

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.models.catalog import import_package, list_models, load_model, remove_model, size_mb
from LiverMRISegPanel.tables import fit_columns, show_only
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.installation import (
    as_text,
    check_installation,
    install_missing,
    install_torch,
    missing_requirements,
)

_WIDEST = 200


class Maintenance:
    """The section "Models and installation".

    Args:
        ui: the panel's widgets.
        models_changed: called after an import or a removal.
        in_use: the models that a run under way still needs.
    """

    def __init__(self, ui: Any, models_changed: Callable[[], None], in_use: Callable[[], Collection[str]]) -> None:
        self.ui, self._models_changed, self._in_use = ui, models_changed, in_use
        table = ui.modelTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Model"), _("MB"), _("Location")])
        show_only(table)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.horizontalHeader().setStretchLastSection(True)
        ui.importModelButton.connect("clicked(bool)", self._import)
        ui.verifyModelButton.connect("clicked(bool)", self._verify)
        ui.removeModelButton.connect("clicked(bool)", self._remove)
        ui.checkButton.connect("clicked(bool)", self._check)
        ui.installButton.connect("clicked(bool)", self._install)
        ui.torchButton.connect("clicked(bool)", self._install_torch)
        self.refresh()

    def refresh(self) -> None:
        """Update the list of models."""
        entries = list_models()
        self.ui.modelTable.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            place = _("shipped with LiverMRISeg") if entry.is_shipped else str(entry.path)
            for column, text in enumerate((entry.name, f"{size_mb(entry):.1f}", place)):
                self.ui.modelTable.setItem(row, column, qt.QTableWidgetItem(text))
        fit_columns(self.ui.modelTable, (0, 1), _WIDEST)

    def why_not_installed(self) -> str:
        """Ask to install missing requirements. Empty if they are installed now, else why not."""
        if not missing_requirements():
            return ""
        try:
            is_installed = install_missing(slicer.util.confirmOkCancelDisplay)
        except LiverMRISegError as error:
            return str(error)
        return "" if is_installed else _("the required packages are not installed")

    def _import(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getOpenFileName(self.ui.modelTable, _("Import a model"), "", _("Models (*.zip)"))
        if path:
            self._try(lambda: _("Imported {name}.").format(name=import_package(Path(path)).name))

    def _verify(self, _checked: bool = False) -> None:
        name = self._chosen()
        if name:
            self._try(lambda: self._verified(name))

    def _verified(self, name: str) -> str:
        load_model(name).verify()
        return _("{name} is complete and undamaged.").format(name=name)

    def _remove(self, _checked: bool = False) -> None:
        name = self._chosen()
        if name in self._in_use():  # the rest of a batch would fail, or be made by another one that takes the name
            self._say(_("{name} is in use; wait for the run to finish or cancel it.").format(name=name))
        elif name and slicer.util.confirmOkCancelDisplay(_("Delete the model {name}?").format(name=name)):
            self._try(lambda: self._removed(name))

    def _removed(self, name: str) -> str:
        remove_model(name)
        return _("Removed {name}.").format(name=name)

    def _chosen(self) -> str:
        row = self.ui.modelTable.currentRow()
        item = self.ui.modelTable.item(row, 0) if row >= 0 else None
        if item is None:
            self._say(_("Select a model in the table first."))
            return ""
        return str(item.text())

    def _check(self, _checked: bool = False) -> None:
        self._say(as_text(check_installation()))

    def _install(self, _checked: bool = False) -> None:
        if not missing_requirements():
            self._say(_("All required packages are installed."))
            return
        self._try(lambda: self.why_not_installed() or _("Installed."))

    def _install_torch(self, _checked: bool = False) -> None:
        ask = slicer.util.confirmOkCancelDisplay
        self._try(lambda: _("Installed.") if install_torch(ask) else _("Not installed."))

    def _try(self, action: Callable[[], str]) -> None:
        """Do something with models or packages, and show the result or the error."""
        try:
            self._say(action())
        except LiverMRISegError as error:
            self._say(str(error))
        self.refresh()
        self._models_changed()

    def _say(self, text: str) -> None:
        self.ui.checkText.setPlainText(text)
