"""How long the panel's window stands still while it segments, against a call that waits; how fast cancel is."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
AIM_CANCEL = 1.0


class Heartbeat:
    """A timer of the window's own event loop; the longest time between two beats is how long it stood still."""

    def __init__(self, qt: Any) -> None:
        self.longest, self._last = 0.0, time.perf_counter()
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._beat)
        self._timer.start(5)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def reset(self) -> None:
        self.longest, self._last = 0.0, time.perf_counter()


def main() -> None:
    """Measure and print; the last line holds the ratio."""
    sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "LiverMRISeg")]
    os.environ["LIVERMRISEG_MODELS"] = tempfile.mkdtemp()
    import slicer

    from LiverMRISegScene.sample_data import SAMPLES, add_sample
    from slicer_host import start

    host = start()
    import qt

    module = host.load_module(ROOT / "LiverMRISeg" / "LiverMRISeg.py")
    widget = host.show_panel(module)
    panel = widget.panel
    panel.ui.inputSelector.setCurrentNode(add_sample(slicer.mrmlScene, next(iter(SAMPLES)))[0])
    cancelled = []
    for _ in range(5):
        host.click(panel.ui.segmentButton)
        host.wait(lambda: panel.ui.progressBar.value > 10, SECONDS)
        begun = time.perf_counter()
        host.click(panel.ui.segmentButton)
        host.wait(lambda: not panel.queue.is_busy, SECONDS)
        cancelled.append(time.perf_counter() - begun)
    heart = Heartbeat(qt)
    host.wait(lambda: heart.longest > 0, 1)
    heart.reset()
    host.click(panel.ui.segmentButton)
    host.wait(lambda: not panel.queue.is_busy, SECONDS)
    frozen = heart.longest
    blocking = in_main_thread(module, panel, heart, host)
    print(f"cancel, slowest of {len(cancelled)}      {max(cancelled):.3f} s   (aim: under {AIM_CANCEL:.0f} s)")
    print(f"longest standstill, worker      {frozen:.3f} s")
    print(f"longest standstill, main thread {blocking:.3f} s")
    print(
        f"RATIO panel_freeze: segmenting in the main thread freezes the window {blocking / frozen:.1f} times as long; "
        f"cancel took at most {max(cancelled):.2f} s"
    )
    widget.cleanup()


def in_main_thread(module: Any, panel: Any, heart: Heartbeat, host: Any) -> float:
    """The longest standstill when the same volume is segmented by a call that waits."""
    logic = module.LiverMRISegLogic()
    node = panel.ui.inputSelector.currentNode()
    logic.segment(node)  # so that both have their model loaded
    host.wait(lambda: False, 0.1)
    heart.reset()
    logic.segment(node)
    host.wait(lambda: False, 0.1)
    logic.close()
    return heart.longest


if __name__ == "__main__":
    main()
