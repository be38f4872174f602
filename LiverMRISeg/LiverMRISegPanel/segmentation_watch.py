"""Tells when a segmentation was edited, once its changes have paused: a stroke of a brush is many of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

from LiverMRISegScene.bases import VTKObservationMixin

_PAUSE_MS = 300


class SegmentationWatch(VTKObservationMixin):
    """Calls `changed` after edits of the segmentation node that is watched."""

    def __init__(self, changed: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.connect("timeout()", changed)

    def watch(self, node: Any) -> None:
        """Watch this node instead of another; None for none."""
        self.removeObservers()
        self._timer.stop()
        if node is None:
            return
        kinds = slicer.vtkSegmentation
        for event in (
            kinds.SourceRepresentationModified,
            kinds.SegmentAdded,
            kinds.SegmentRemoved,
            kinds.SegmentModified,
            node.SegmentationChangedEvent,  # another frame of a sequence is shown
        ):
            self.addObserver(node, event, self._happened)

    def _happened(self, _caller: Any, _event: Any) -> None:
        self._timer.start()
