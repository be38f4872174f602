"""Pictures of every section of the panel, run by the test host on drawn phantoms with real clicks.

The views beside the panel are drawn by the host from the same scene; the application's own are not there.

    python scripts/make_panel_screenshots.py [--target FOLDER] [--dark] [--width 480] [--only empty|one_volume|failed]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
_WIDTH, _HEIGHT = 1240, 860
_SECONDS = 300
_PANEL_COLOURS = 96
# What differs more among its red, green and blue is a colour, and counts so often.
_GREY, _COLOUR_WEIGHT = 30, 50
_SECTIONS = ("inputs", "outputs", "advanced", "result", "measure", "batch", "log", "maintenance")


def main() -> None:
    """Write panel_*.png into the target folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--dark", action="store_true", help="with a dark palette")
    parser.add_argument("--width", type=int, default=480, help="of the panel")
    parser.add_argument("--only", choices=("empty", "one_volume", "failed"), help="only the pictures of this step")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "LiverMRISeg")]
    os.environ["LIVERMRISEG_MODELS"] = tempfile.mkdtemp(prefix="livermriseg-models-")
    pictures = Pictures(arguments.target, arguments.width, arguments.dark)
    (getattr(pictures, arguments.only) if arguments.only else pictures.make)()
    pictures.close()


class Pictures:
    """Clicks through the panel and saves what it looks like."""

    def __init__(self, target: Path, width: int, is_dark: bool) -> None:
        from slicer_host import start

        self.target, self.width = target, width
        target.mkdir(parents=True, exist_ok=True)
        self.host = start()
        if is_dark:
            darken()
        module = self.host.load_module(ROOT / "LiverMRISeg" / "LiverMRISeg.py")
        self.widget = self.host.show_panel(module, (width, _HEIGHT))
        self.panel, self.ui = self.widget.panel, self.widget.panel.ui

    def make(self) -> None:
        """All pictures, in the order in which a person would see them."""
        self.empty()
        nodes = self.one_volume()
        self.edited(nodes[0])
        self.measured(nodes)
        self.many(nodes[0])
        self.over_time()
        self.failed()

    def close(self) -> None:
        """RuntimeError if anything went wrong that the application would only print."""
        problems = self.host.problems
        if problems.slot_errors or problems.unknown_signals or problems.dropped_senders:
            raise RuntimeError(f"{problems.slot_errors} {problems.unknown_signals}")
        self.widget.cleanup()

    def empty(self) -> None:
        """Nothing is loaded; the sections that need no volume."""
        self.open("inputs", "outputs")
        self.ui.organsGroup.collapsed = False
        self.save("empty")
        self.ui.organsGroup.collapsed = True
        self.open("maintenance")
        self.host.click(self.ui.checkButton)
        self.save("models")

    def one_volume(self) -> list[Any]:
        """A click on Segment: while it runs, and its result."""
        import slicer

        from LiverMRISegScene.sample_data import SAMPLES, add_sample

        nodes = [add_sample(slicer.mrmlScene, name)[0] for name in SAMPLES]
        self.open("inputs", "outputs")
        self.ui.inputSelector.setCurrentNode(nodes[0])
        self.host.click(self.ui.segmentButton)
        self.host.wait(lambda: self.ui.progressBar.value > 25, _SECONDS)
        self.save("running", nodes[0])
        self.host.wait(lambda: not self.panel.queue.is_busy, _SECONDS)
        self.open("inputs", "result")
        self.host.click(self.ui.show3DButton)
        self.save("result", nodes[0], self.panel.table.node)
        return nodes

    def edited(self, volume: Any) -> None:
        """One organ again, inside a box; the question whether to accept it."""
        import slicer

        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Around the liver")
        roi.SetSize(200, 160, 60)
        low, high = [0.0] * 6, self.panel.table.node
        high.GetRASBounds(low)
        roi.SetCenter([(low[0] + low[1]) / 2, (low[2] + low[3]) / 2, (low[4] + low[5]) / 2 + 30])
        self.ui.roiSelector.setCurrentNode(roi)
        self.ui.resultTable.selectRow(0)
        self.host.click(self.ui.againButton)
        self.host.wait(lambda: not self.panel.queue.is_busy, _SECONDS)
        self.save("accept", volume, self.panel.table.node)
        self.host.click(self.ui.discardButton)
        self.ui.roiSelector.setCurrentNode(None)

    def measured(self, nodes: list[Any]) -> None:
        """Figures of a map and of the image itself."""
        self.open("measure")
        self.ui.otherMapSelector.setCurrentNode(nodes[0])
        self.ui.erosionSpin.setValue(5.0)
        self.ui.outliersCheck.setChecked(True)
        self.host.click(self.ui.measureButton)
        self.host.wait(lambda: not self.panel.queue.is_busy, _SECONDS)
        self.save("measure", nodes[0], self.panel.table.node)

    def many(self, volume: Any) -> None:
        """A batch of all volumes, and the log."""
        result = self.panel.table.node
        self.open("batch", "log")
        self.host.click(self.ui.batchListButton)
        self.host.click(self.ui.batchRunButton)
        self.host.wait(lambda: not self.panel.queue.is_busy, _SECONDS)
        self.save("batch", volume, result)

    def over_time(self) -> None:
        """The phases of a dynamic study as a sequence."""
        import slicer

        from LiverMRISegLib.anatomy import Sequence
        from LiverMRISegLib.phantom.study import make_study

        slicer.mrmlScene.Clear(0)
        phases = (Sequence.GED1, Sequence.GED2, Sequence.GED3, Sequence.GED4)
        made = make_study(phases, seed=3)
        sequence, browser = add_sequence(slicer.mrmlScene, [made[phase].volume for phase in phases])
        self.open("inputs", "result")
        self.ui.inputSelector.setCurrentNode(sequence)
        self.host.click(self.ui.segmentButton)
        self.host.wait(lambda: not self.panel.queue.is_busy, _SECONDS)
        browser.SetSelectedItemNumber(2)
        self.host.wait(lambda: False, 1)
        shown = self.panel.table.shown[1]
        self.save("over_time", browser.GetProxyNode(sequence), shown.shown, shown.chart)

    def failed(self) -> None:
        """A volume that cannot be segmented, with a long name."""
        import slicer

        from LiverMRISegLib.volume import Geometry, Volume
        from LiverMRISegScene.volumes import add_volume

        slicer.mrmlScene.Clear(0)
        flat = Volume(np.full((20, 40, 40), 7, np.int16), Geometry((40, 40, 20), (5.0, 5.0, 6.0)))
        name = "12: t1_vibe_dixon_tra_bh_p4_post_KM_20min_opp_W_F_reformatted_from_coronal"
        self.open("inputs", "outputs")
        self.ui.inputSelector.setCurrentNode(add_volume(slicer.mrmlScene, flat, name))
        self.host.click(self.ui.segmentButton)
        self.host.wait(lambda: not self.panel.queue.is_busy, _SECONDS)
        self.save("failed")

    def open(self, *sections: str) -> None:
        """Unfold these sections and fold the others: the application's panel scrolls, this window does not."""
        for name in _SECTIONS:
            getattr(self.ui, f"{name}CollapsibleButton").collapsed = name not in sections

    def save(self, name: str, volume: Any = None, segmentation: Any = None, chart: Any = None) -> None:
        """The panel's window, beside the views if there is a volume, as one picture."""
        import slicer

        for _ in range(3):  # what was folded or shown just now takes its place
            slicer.app.processEvents()
        window = self.widget.parent
        window.resize(
            self.width, max(_HEIGHT, window.layout().totalHeightForWidth(self.width))
        )  # the application scrolls
        slicer.app.processEvents()
        panel = grabbed(window)[:, : self.width]
        picture = np.zeros((panel.shape[0], _WIDTH if volume is not None else self.width, 3), np.uint8)
        picture[:, : self.width] = panel
        if volume is not None:
            picture[:, self.width :] = views(volume, segmentation, chart, (panel.shape[0], _WIDTH - self.width))
        with_few_colours(picture, self.width).save(self.target / f"panel_{name}.png", optimize=True)


def with_few_colours(picture: np.ndarray, width: int) -> Any:
    """A picture of 256 colours, of which the panel has its own: its small patches are not lost among the views."""
    from PIL import Image

    index = np.zeros(picture.shape[:2], np.uint8)
    colours, where, counts = np.unique(
        picture[:, :width].reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    # The shades of text outnumber the patches of organs.
    weights = counts * np.where(np.ptp(colours, axis=1) > _GREY, _COLOUR_WEIGHT, 1)
    own = colours[np.argsort(-weights)[: _PANEL_COLOURS if picture.shape[1] > width else 256]]
    nearest = ((colours[:, None].astype(int) - own) ** 2).sum(axis=2).argmin(axis=1)
    index[:, :width] = nearest[where.ravel()].reshape(len(picture), width)
    palette = own.ravel().tolist()
    if picture.shape[1] > width:
        rest = Image.fromarray(picture[:, width:]).quantize(256 - len(own), kmeans=1, dither=Image.Dither.NONE)
        index[:, width:] = np.asarray(rest) + len(own)
        palette += rest.getpalette() or []
    few = Image.fromarray(index, "P")
    few.putpalette(palette)
    return few


def darken() -> None:
    """The palette of Slicer's dark style."""
    import qt

    palette, roles = qt.QPalette(), qt.QPalette.ColorRole
    for role, color in (
        (roles.Window, "#333"), (roles.WindowText, "#eee"), (roles.Base, "#222"), (roles.AlternateBase, "#2a2a2a"),
        (roles.Text, "#eee"), (roles.Button, "#3a3a3a"), (roles.ButtonText, "#eee"), (roles.Highlight, "#2a6db0"),
        (roles.HighlightedText, "#fff"), (roles.ToolTipBase, "#333"), (roles.ToolTipText, "#eee"),
        (roles.PlaceholderText, "#888"),
    ):  # fmt: skip
        palette.setColor(role, qt.QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(qt.QPalette.ColorGroup.Disabled, role, qt.QColor("#888"))
    qt.QApplication.setStyle("Fusion")
    qt.QApplication.setPalette(palette)


def grabbed(window: Any) -> np.ndarray:
    """A Qt window's pixels, RGB."""
    import qt

    image = window.grab().toImage().convertToFormat(qt.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()  # the image goes


def views(volume: Any, segmentation: Any, chart: Any, size: tuple[int, int]) -> np.ndarray:
    """Axial, 3D, coronal, and sagittal or the chart, in the order of Slicer's four-up layout."""
    import slicer

    from slicer_host.views import chart_picture, surface_picture

    width, height = size[1] // 2, size[0] // 2
    shown = segmentation or slicer.vtkMRMLSegmentationNode()
    grid = np.zeros((*size, 3), np.uint8)
    grid[:height, width : 2 * width] = surface_picture(shown, width, height)
    for plane, row, column in (("axial", 0, 0), ("coronal", 1, 0), ("sagittal", 1, 1)):
        place(grid[row * height : (row + 1) * height, column * width : (column + 1) * width], volume, shown, plane)
    if chart is not None:
        grid[height : 2 * height, width : 2 * width] = chart_picture(chart, width, height)
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


def add_sequence(scene: Any, volumes: list[Any]) -> tuple[Any, Any]:
    """A sequence node with its browser, made as the tests make theirs."""
    from helpers.sequence_nodes import add_sequence as made

    sequence, browser = made(scene, volumes, "dynamic", 60)
    return sequence, browser


if __name__ == "__main__":
    main()
