"""What the panel offers to choose from, and what has to be installed or accepted before it runs."""

import os
import subprocess

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows, segment
from helpers.scene_tools import add_random
from helpers.waiting import SECONDS


def test_gpus_are_listed_once_the_driver_has_answered(host, module, scene, monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    answer = "echo '0, NVIDIA A100, 40960, 38000, 550.54, 8.0'"
    program.write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    import slicer

    slicer.app.settings().clear()
    selector = (widget := host.show_panel(module)).panel.ui.deviceSelector
    assert selector.findData("cuda:0") == -1
    assert selector.findData("cpu") > 0
    (tmp_path / "go").touch()
    assert host.wait(lambda: selector.findData("cuda:0") > 0, SECONDS)
    selector.setCurrentIndex(selector.findData("cuda:0"))
    widget.panel.picker._device_chosen(0)
    (tmp_path / "go").unlink()
    other = host.show_panel(module)  # the choice is kept while the driver has not answered yet
    assert other.panel.picker.device == "cuda:0"
    other.cleanup()
    other.parent.close()
    slicer.app.settings().clear()
    widget.panel.picker.refresh()  # asks again, and goes before the answer
    widget.cleanup()
    widget.parent.close()


def test_install_declined(host, panel, phantom, monkeypatch):
    from LiverMRISegPanel import maintenance

    asked = []
    monkeypatch.setattr(maintenance, "missing_requirements", lambda: ["openvino>=2024.6"])
    monkeypatch.setattr(maintenance, "install_missing", lambda confirm: asked.append(confirm) or False)
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(panel.ui.segmentButton)
    assert len(asked) == 1
    assert not panel.queue.is_busy
    assert "not installed" in panel.ui.statusLabel.text


def test_an_installation_that_fails_says_why(host, panel, phantom, monkeypatch):
    """Not only in a section that is folded."""
    import slicer

    from LiverMRISegPanel import maintenance
    from LiverMRISegScene import installation

    def fail(_requirements):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(maintenance, "missing_requirements", lambda: ["openvino>=2024.6"])
    monkeypatch.setattr(installation, "missing_requirements", lambda: ["openvino>=2024.6"])
    monkeypatch.setattr(slicer.util, "pip_install", fail, raising=False)
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(panel.ui.segmentButton)
    assert not panel.queue.is_busy
    assert "installing openvino>=2024.6 failed: pip ended with exit status 1" in panel.ui.statusLabel.text


def test_weights_that_are_not_free_are_asked_for_once(host, panel, scene, phantom):
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.dialogs.answer = False
    host.dialogs.shown.clear()
    host.click(panel.ui.segmentButton)
    host.dialogs.answer = True
    assert "BTCV" in host.dialogs.shown[0][1]
    assert not panel.queue.is_busy
    assert "not accepted" in panel.ui.statusLabel.text
    segment(host, panel)
    segment(host, panel)
    assert len(host.dialogs.shown) == 2


def test_a_model_that_is_gone_or_damaged_since_it_was_listed_says_so(host, second_model, panel, scene, tmp_path):
    folder = tmp_path / "models" / second_model
    panel.ui.inputSelector.setCurrentNode(add_random(scene, "T1WI"))
    panel.picker.want(second_model)
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    segment(host, panel)
    assert "has the wrong sha256: it is damaged or was changed" in panel.ui.statusLabel.text
    (folder / "model.json").write_text("{")
    host.click(panel.ui.segmentButton)
    assert "model.json: is not JSON" in panel.ui.statusLabel.text
    (folder / "model.json").unlink()
    host.click(panel.ui.segmentButton)
    assert f"Not segmented: {second_model}: no model has this name" in panel.ui.statusLabel.text
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    assert not panel.queue.is_busy


def test_a_model_that_the_scene_was_saved_with_and_is_not_here_is_named(panel):
    panel.picker.want("of-another-computer")
    assert panel.picker.offer is not None
    said = panel.ui.fitWarning.text
    assert said.startswith("\u26a0 of-another-computer, which was chosen before, is not on this computer.")
    panel.ui.modelSearch.setText("liver")
    assert "of-another-computer" not in panel.ui.fitWarning.text
    panel.ui.modelSearch.setText("")
    assert panel.ui.fitWarning.text == said
    panel.picker._chosen(0)
    assert "of-another-computer" not in panel.ui.fitWarning.text


def test_signs_of_html_in_a_model_are_shown(panel):
    from dataclasses import replace

    picker = panel.picker
    offer = picker._offers[0]
    spec = replace(offer.spec, intended_use="age <18 years, and >2 kg")
    picker._offers[0] = replace(offer, spec=spec)
    picker._show_offer()
    assert "age &lt;18 years, and &gt;2 kg" in panel.ui.modelDetails.text


def test_models_that_do_not_fit_are_marked_and_search_finds(host, panel, scene):
    panel.ui.inputSelector.setCurrentNode(add_random(scene, "CT thorax"))
    assert "The volume is CT" in panel.ui.fitWarning.text
    assert panel.ui.fitWarning.visible
    panel.ui.modelSearch.setText("knee")
    assert panel.picker.offer is None
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "Choose a model."
    panel.ui.modelSearch.setText("pancreas")
    assert panel.picker.offer.entry.name == "liver-any-sequence"
    assert "Measured" in panel.ui.modelDetails.text


def test_only_the_checked_organs_and_they_are_remembered(host, module, panel, scene, phantom):
    import qt

    names = [panel.ui.organList.item(n).text() for n in range(panel.ui.organList.count)]
    assert (panel.ui.organsGroup.title, panel.ui.organsGroup.collapsed) == ("Organs: all 9", True)
    for n, name in enumerate(names):
        if name not in ("liver", "spleen"):
            panel.ui.organList.item(n).setCheckState(qt.Qt.Unchecked)
    assert panel.ui.organsGroup.title == "Organs: 2 of 9"
    segment(host, panel, phantom)
    assert list(rows(panel.ui.resultTable)) == ["liver", "spleen"]
    again = host.show_panel(module)
    try:
        assert again.panel.picker.organs == ["liver", "spleen"]
        assert again.panel.ui.organsGroup.collapsed
        for n in range(len(names)):
            again.panel.ui.organList.item(n).setCheckState(qt.Qt.Unchecked)
        assert (again.panel.ui.organsGroup.title, again.panel.ui.organsGroup.collapsed) == ("Organs: 0 of 9", False)
    finally:
        again.cleanup()
        again.parent.close()


def test_check_installation_and_models(host, panel, monkeypatch, tmp_path):
    import qt

    from helpers.packages import random_weights, tiny_spec
    from LiverMRISegLib.models.package.model_package import save_package

    panel.ui.maintenanceCollapsibleButton.collapsed = False
    shipped = panel.ui.modelTable.rowCount
    host.click(panel.ui.checkButton)
    assert "Python" in panel.ui.checkText.toPlainText()
    spec = tiny_spec("tiny")
    package = save_package(spec, random_weights(spec), tmp_path / "tiny.zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *a: str(package)))
    host.click(panel.ui.importModelButton)
    assert panel.ui.checkText.toPlainText() == "Imported tiny."
    assert panel.ui.modelTable.rowCount == shipped + 1
    panel.ui.modelTable.selectRow(shipped)
    host.click(panel.ui.verifyModelButton)
    assert panel.ui.checkText.toPlainText() == "tiny is complete and undamaged."
    host.click(panel.ui.removeModelButton)
    assert panel.ui.modelTable.rowCount == shipped
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *a: str(tmp_path / "broken.zip")))
    host.click(panel.ui.importModelButton)
    assert "is not a model package" in panel.ui.checkText.toPlainText()
