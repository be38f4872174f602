"""In the application the panel and the Python console talk to one worker process."""

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import segment
from helpers.scene_tools import add_random
from helpers.waiting import SECONDS
from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken


@pytest.fixture
def console(module):
    logic = module.LiverMRISegLogic()
    yield logic
    logic.close()


def test_the_model_is_loaded_once_for_both(host, panel, console, phantom):
    node = console.segment(phantom)
    assert node.GetSegmentation().GetSegment("liver") is not None
    worker = panel.worker.process_id
    assert worker
    segment(host, panel, phantom)
    assert panel.ui.statusLabel.text.startswith("Done")
    assert panel.worker.process_id == worker
    assert console.segmentBatch([phantom], organs=["liver"])[0].node is not None
    assert panel.worker.process_id == worker


def test_errors_and_progress_in_the_console(panel, console, scene):
    seen = []
    console.segment(add_random(scene, "T1WI"), progress=lambda text, done: seen.append(done))
    assert seen == sorted(seen)
    assert len(seen) > 2
    with pytest.raises(LiverMRISegError, match="no-such-model"):
        console.segment(add_random(scene, "b"), model="no-such-model")


def test_a_cancel_in_the_console(stuck_worker, panel, console, phantom):
    """The worker hears nothing: it is ended."""
    token = CancelToken()
    with pytest.raises(CancelledError):
        console.segment(phantom, cancel=token, progress=lambda text, done: token.cancel() if done > 0.04 else None)
    assert not panel.worker.is_busy


def test_closing_the_scene_while_the_console_waits(panel, console, scene):
    """A script may let events happen while it waits; the panel's scene closes, and the console is not left hanging."""

    def close(_text, _done):
        if scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"):
            scene.Clear(0)

    with pytest.raises(LiverMRISegError, match="T1WI: was removed from the scene"):
        console.segment(add_random(scene, "T1WI"), progress=close)
    assert panel.worker.process_id


def test_a_second_panel_leaves_the_run_of_the_first_alone(host, slow_worker, module, panel, phantom):
    other = host.show_panel(module)
    segment(host, panel, phantom, wait=False)
    other.panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(other.panel.ui.segmentButton)
    assert "already running; wait for it to finish or cancel it" in other.panel.ui.statusLabel.text
    other.cleanup()
    other.parent.close()
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.statusLabel.text.startswith("Done")


def test_a_worker_that_cannot_start(monkeypatch, panel, console, phantom):
    from LiverMRISegPanel import qt_worker

    monkeypatch.setattr(qt_worker, "worker_python", lambda: "/nowhere/PythonSlicer")
    with pytest.raises(LiverMRISegError, match="could not be started: /nowhere/PythonSlicer"):
        console.segment(phantom)


def test_the_console_waits_its_turn_and_does_not_end_the_panels_run(host, slow_worker, panel, console, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    with pytest.raises(LiverMRISegError, match="already running; wait for it to finish or cancel it"):
        console.segment(phantom)
    console.close()
    assert panel.queue.is_busy
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.statusLabel.text.startswith("Cancelled")
