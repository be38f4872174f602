"""Tells when a segmentation was edited, once its changes have paused: a stroke of a brush is many of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

from LiverMRISegScene.bases import VTKObservationMixin

_PAUSE_MS = 300


class SegmentationWatch(VTKObservationMixin):
    """Calls `edited` at each change of the segmentation node that is watched, and `changed` once they have paused.

    That another frame of a sequence is shown is no edit.
    """

    def __init__(self, edited: Callable[[], None], changed: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._edited = edited
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
        ):
            self.addObserver(node, event, self._was_edited)
        self.addObserver(node, node.SegmentationChangedEvent, self._is_another)

    def _was_edited(self, _caller: Any, _event: Any) -> None:
        self._edited()
        self._timer.start()

    def _is_another(self, _caller: Any, _event: Any) -> None:
        self._timer.start()
