"""The panel in the host that stands for the application."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.panel import BRIGHT, FULL_GPU, HELD, SLOW, Hold, stand_in
from helpers.places import ROOT
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.models import catalog
from LiverMRISegLib.models.package.model_package import save_package


@pytest.fixture(scope="module")
def host():
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    pytest.importorskip("slicer")
    from slicer_host import start

    return start()


@pytest.fixture(scope="module")
def module(host):
    return host.load_module(ROOT / "LiverMRISeg" / "LiverMRISeg.py")


@pytest.fixture
def scene(host):
    import slicer

    slicer.mrmlScene = host.scene  # another test may have put its own scene there
    host.scene.Clear(0)
    return host.scene


@pytest.fixture
def io_manager(scene, tmp_path):
    """What the application gives its scene to read .mrb files with."""
    import slicer

    cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    (tmp_path / "cache").mkdir()
    cache.SetRemoteCacheDirectory(str(tmp_path / "cache"))
    manager.SetCacheManager(cache)
    scene.SetDataIOManager(manager)
    yield manager
    scene.SetDataIOManager(None)


@pytest.fixture
def reopen(scene, io_manager, tmp_path):
    """Saves the scene with its data, closes it, and opens it again."""

    def again():
        assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
        scene.Clear(0)
        assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)

    return again


@pytest.fixture
def slow_worker(tmp_path, monkeypatch):
    """Every tile takes half a second longer, so that a run can be met in its middle on any machine."""
    stand_in(tmp_path / "bin", monkeypatch, SLOW)


@pytest.fixture
def full_gpu(tmp_path, monkeypatch):
    """A GPU with no memory left."""
    stand_in(tmp_path / "bin", monkeypatch, FULL_GPU)


@pytest.fixture
def bright_worker(tmp_path, monkeypatch):
    """Segments at once, by thresholds: what is tested comes after the network."""
    stand_in(tmp_path / "bin", monkeypatch, BRIGHT)


@pytest.fixture
def held_worker(tmp_path, monkeypatch):
    """As `bright_worker`, but each volume waits in its middle for as long as the test says."""
    stand_in(tmp_path / "bin", monkeypatch, f"HOLD = {str(tmp_path / 'hold')!r}\n{HELD}")
    return Hold(tmp_path / "hold")


@pytest.fixture
def stuck_worker(tmp_path, monkeypatch):
    """No tile ever ends, and no cancel is heard."""
    stand_in(tmp_path / "bin", monkeypatch, SLOW.replace("0.5", "600"))


@pytest.fixture
def second_model(tmp_path):
    """A model of the user's own for all sequences, by name; asked for before `panel`, which lists it."""
    spec = replace(tiny_spec("my-liver"), sequences=tuple(sequence.value for sequence in Sequence))
    save_package(spec, random_weights(spec), tmp_path / "models" / spec.name)
    return spec.name


@pytest.fixture
def panel(host, module, scene, monkeypatch, tmp_path):
    import slicer

    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    slicer.app.settings().clear()
    host.problems.clear()
    widget = host.show_panel(module)
    yield widget.panel
    widget.cleanup()
    widget.parent.close()
    assert host.problems.slot_errors == []
    assert host.problems.unknown_signals == []
    assert host.problems.dropped_senders == []


@pytest.fixture
def phantom(scene):
    from LiverMRISegScene.sample_data import add_sample

    return add_sample(scene, "LiverMRISegPhantom-T1WI")[0]


@pytest.fixture
def result(panel, scene):
    """A segmentation that was not made here, chosen in the panel, and its volume."""
    from helpers.scene_tools import add_random
    from LiverMRISegLib.anatomy import CHAOS
    from LiverMRISegScene.segmentations import add_segmentation

    volume = add_random(scene, "T1WI")
    labels = np.zeros((24, 36, 40), np.uint8)
    labels[4:12, 4:20, 5:20], labels[14:20, 20:30, 25:30] = 1, 4
    node = add_segmentation(scene, volume, labels, CHAOS, "organs")
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.outputSelector.setCurrentNode(node)
    panel.ui.resultCollapsibleButton.collapsed = False
    return node, volume


@pytest.fixture
def database(host, monkeypatch):
    pytest.importorskip("highdicom")
    import slicer

    from slicer_host.dicom import DicomDatabase, install

    made = DicomDatabase()
    monkeypatch.setattr(slicer, "dicomDatabase", made, raising=False)
    for name, module in install(made).items():
        monkeypatch.setitem(sys.modules, name, module)
    return made
