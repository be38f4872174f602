"""The choice of model, organs and device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import qt

from LiverMRISegLib.inference.engines.devices import Device, list_devices
from LiverMRISegLib.models.catalog import size_mb
from LiverMRISegPanel.gpu_query import GpuQuery
from LiverMRISegPanel.settings import remember, remembered
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.model_choice import ModelOffer, details, offers, what_others_have
from LiverMRISegScene.volume_kind import VolumeKind, kind_of


class ModelPicker:
    """Lists the models that suit the volume first, and warns about those that do not."""

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self.ui, self._changed = ui, changed
        self._kind = VolumeKind()
        self._offers: list[ModelOffer] = []
        self._gpus: Sequence[Device] | None = None
        self._query = GpuQuery(self._gpus_found)
        self._wanted = remembered("model")
        self._excluded = set(filter(None, remembered("excluded organs").split("\n")))
        ui.modelSearch.connect("textChanged(QString)", self._searched)
        ui.modelSelector.connect("activated(int)", self._chosen)
        ui.organList.connect("itemChanged(QListWidgetItem*)", self._organ_checked)
        ui.deviceSelector.connect("activated(int)", self._device_chosen)
        self.refresh()

    @property
    def offer(self) -> ModelOffer | None:
        """The chosen model; None if the search finds nothing."""
        index = self.ui.modelSelector.currentIndex
        return self._offers[index] if 0 <= index < len(self._offers) else None

    @property
    def chosen(self) -> str:
        """The name of the model that was chosen, even if it is not on this computer; else of the one offered."""
        return self._wanted or (self.offer.entry.name if self.offer is not None else "")

    @property
    def organs(self) -> list[str] | None:
        """The checked organs; None for all."""
        checked = self.checked_organs
        return None if len(checked) == self.ui.organList.count else checked

    @property
    def checked_organs(self) -> list[str]:
        """The names of the checked organs: what another model is to find that takes the place of the chosen one."""
        items = [self.ui.organList.item(n) for n in range(self.ui.organList.count)]
        return [str(item.text()) for item in items if item.checkState() == qt.Qt.Checked]

    @property
    def device(self) -> str:
        """As in `Segmenter.load`."""
        return str(self.ui.deviceSelector.itemData(self.ui.deviceSelector.currentIndex) or "auto")

    def show_volume(self, node: Any) -> None:
        """List the models for this volume node, or for any volume if it is None."""
        self._kind = kind_of(node) if node is not None else VolumeKind()
        self._fill_models()

    def want(self, model: str) -> None:
        """Choose a model by name, if it is there; the application's settings stay."""
        self._wanted = model
        self._fill_models()

    def forget(self) -> None:
        """The scene was closed, and the choice that came with it goes."""
        self.want(remembered("model"))

    def refresh(self) -> None:
        """Update the lists of models and devices."""
        self._fill_models()
        self._fill_devices()
        self._query.ask()

    def close(self) -> None:
        """The panel closes: stop asking for GPUs."""
        self._query.close()

    def _gpus_found(self, gpus: Sequence[Device]) -> None:
        is_new = self._gpus is None or list(gpus) != list(self._gpus)
        self._gpus = gpus
        if is_new:
            self._fill_devices()

    def _fill_models(self) -> None:
        selector = self.ui.modelSelector
        self._offers = offers(self._kind, self.ui.modelSearch.text)
        selector.clear()
        for offer in self._offers:
            selector.addItem(("\u26a0 " if offer.warning else "") + offer.entry.name, offer.entry.name)
        names = [offer.entry.name for offer in self._offers]
        selector.setCurrentIndex(names.index(self._wanted) if self._wanted in names else (0 if names else -1))
        self._show_offer()

    def _show_offer(self) -> None:
        offer = self.offer
        self.ui.fitWarning.setText(self._remark(offer))
        self.ui.fitWarning.setVisible(bool(self.ui.fitWarning.text))
        lines = details(offer, size_mb(offer.entry)) if offer is not None else []
        self.ui.modelDetails.setText("<br>".join(f"<b>{title}:</b> {escape(text)}" for title, text in lines))
        self._fill_organs()
        self._changed()

    def _remark(self, offer: ModelOffer | None) -> str:
        if offer is None:
            return _("No model matches the search. Change the search text, or import a model below.")
        said = f"\u26a0 {offer.warning}" if offer.warning else what_others_have(offer, self._offers)
        return "\n".join(filter(None, (self._lost(), said)))

    def _lost(self) -> str:
        """That another model is chosen than before, or than the scene was saved with, must not pass in silence."""
        is_there = self._wanted in [offer.entry.name for offer in self._offers]
        if not self._wanted or is_there or self.ui.modelSearch.text:
            return ""
        text = _("{model}, which was chosen before, is not on this computer.")
        return "\u26a0 " + text.format(model=self._wanted)

    def _fill_organs(self) -> None:
        blocked = self.ui.organList.blockSignals(True)
        self.ui.organList.clear()
        for organ in self.offer.spec.labels.organs if self.offer is not None else ():
            item = qt.QListWidgetItem(organ.name)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsSelectable)
            item.setCheckState(qt.Qt.Unchecked if organ.name in self._excluded else qt.Qt.Checked)
            self.ui.organList.addItem(item)
        self.ui.organList.blockSignals(blocked)
        self._say_which_organs()

    def _say_which_organs(self) -> None:
        """The title says what the folded list holds; where an organ must be checked, the list is open."""
        count, organs = self.ui.organList.count, self.organs
        title = _("Organs: all {count}") if organs is None else _("Organs: {checked} of {count}")
        checked = len(organs) if organs is not None else count
        self.ui.organsGroup.title = title.format(count=count, checked=checked) if count else _("Organs")
        if organs == []:
            self.ui.organsGroup.collapsed = False

    def _fill_devices(self) -> None:
        selector = self.ui.deviceSelector
        wanted = remembered("device", "auto")
        selector.clear()
        selector.addItem(_("Automatic"), "auto")
        ids = ["auto"]
        for device in list_devices(self._gpus or ()):
            selector.addItem(device.title, device.id)
            ids.append(device.id)
        if self._gpus is None and wanted.startswith("cuda"):  # kept until the driver has answered
            selector.addItem(wanted, wanted)
            ids.append(wanted)
        selector.setCurrentIndex(ids.index(wanted) if wanted in ids else 0)

    def _searched(self, _text: str) -> None:
        self._fill_models()

    def _chosen(self, _index: int) -> None:
        if self.offer is not None:
            self._wanted = self.offer.entry.name
            remember("model", self._wanted)
        self._show_offer()

    def _device_chosen(self, _index: int) -> None:
        remember("device", self.device)

    def _organ_checked(self, item: Any) -> None:
        checked = item.checkState() == qt.Qt.Checked
        (self._excluded.discard if checked else self._excluded.add)(item.text())
        remember("excluded organs", "\n".join(sorted(self._excluded)))
        self._say_which_organs()
        self._changed()
