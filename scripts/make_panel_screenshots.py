"""Screenshots of the panel, run by the test host on a drawn phantom: click, result, batch, a second run to accept.

The views beside the panel are drawn by the host from the same scene; the application's own are not there.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "Resources" / "Screenshots"
_WIDTH, _HEIGHT = 1440, 900
_PANEL = 480
_SECONDS = 120


def main() -> None:
    """Write Resources/Screenshots/panel_*.png."""
    sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "LiverMRISeg")]
    os.environ["LIVERMRISEG_MODELS"] = tempfile.mkdtemp(prefix="livermriseg-models-")
    import slicer

    from LiverMRISegScene.sample_data import SAMPLES, add_sample
    from slicer_host import start

    host = start()
    widget = host.show_panel(host.load_module(ROOT / "LiverMRISeg" / "LiverMRISeg.py"), (_PANEL, _HEIGHT))
    panel = widget.panel
    nodes = [add_sample(slicer.mrmlScene, name)[0] for name in SAMPLES]
    panel.ui.inputSelector.setCurrentNode(nodes[0])
    host.click(panel.ui.segmentButton)
    host.wait(lambda: panel.ui.progressBar.value > 25, _SECONDS)
    save(widget, nodes[0], None, "panel_running")
    host.wait(lambda: not panel.queue.is_busy, _SECONDS)
    host.click(panel.ui.show3DButton)
    panel.ui.outputsCollapsibleButton.collapsed = True  # the application's panel scrolls, this window does not
    save(widget, nodes[0], panel.table.node, "panel_result")
    result = panel.table.node
    panel.ui.inputsCollapsibleButton.collapsed = True
    panel.ui.resultCollapsibleButton.collapsed = True
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.logCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    host.wait(lambda: not panel.queue.is_busy, _SECONDS)
    save(widget, nodes[0], result, "panel_batch")
    if host.problems.slot_errors or host.problems.unknown_signals or host.problems.dropped_senders:
        raise RuntimeError(f"{host.problems.slot_errors} {host.problems.unknown_signals}")
    widget.cleanup()


def save(widget: Any, volume: Any, segmentation: Any, name: str) -> None:
    """The panel's window beside the views, as one picture."""
    import slicer
    from PIL import Image

    for _ in range(3):  # what was folded or shown just now takes its place
        slicer.app.processEvents()
    TARGET.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
    picture[:, :_PANEL] = grabbed(widget.parent)[:_HEIGHT, :_PANEL]
    picture[:, _PANEL:] = views(volume, segmentation)
    Image.fromarray(picture).save(TARGET / f"{name}.png", optimize=True)


def grabbed(window: Any) -> np.ndarray:
    """A Qt window's pixels, RGB."""
    import qt

    image = window.grab().toImage().convertToFormat(qt.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def views(volume: Any, segmentation: Any) -> np.ndarray:
    """Axial, 3D, coronal and sagittal in the order of Slicer's four-up layout."""
    import slicer

    from slicer_host.views import surface_picture

    width, height = (_WIDTH - _PANEL) // 2, _HEIGHT // 2
    shown = segmentation or slicer.vtkMRMLSegmentationNode()
    grid = np.zeros((2 * height, 2 * width, 3), np.uint8)
    grid[:height, width:] = surface_picture(shown, width, height)
    for plane, row, column in (("axial", 0, 0), ("coronal", 1, 0), ("sagittal", 1, 1)):
        place(grid[row * height : (row + 1) * height, column * width : (column + 1) * width], volume, shown, plane)
    grid[height - 1 : height + 1] = grid[:, width - 1 : width + 1] = 90
    return grid


def place(target: np.ndarray, volume: Any, segmentation: Any, plane: str) -> None:
    """A slice into the middle of its view, as large as fits."""
    from slicer_host.views import slice_picture

    height, width = target.shape[:2]
    picture = slice_picture(volume, segmentation, plane, height - 20)
    if picture.shape[1] > width - 20:
        picture = slice_picture(volume, segmentation, plane, (height - 20) * (width - 20) // picture.shape[1])
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    target[top : top + picture.shape[0], left : left + picture.shape[1]] = picture


if __name__ == "__main__":
    main()
