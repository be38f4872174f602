"""A log that can be copied into a bug report: without names of volumes, which may be names of patients."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import qt
import slicer

from LiverMRISegPanel.words import hidden
from LiverMRISegScene.jobs import DONE, Job
from LiverMRISegScene.volumes import names_in_scene


class LogView:
    """The log section of the panel."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        ui.copyLogButton.connect("clicked(bool)", self._copy)

    def add(self, text: str) -> None:
        """Add a line with the time."""
        self.ui.logText.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")

    def add_hidden(self, text: str, paths: Iterable[Path] = (), names: Iterable[str] = ()) -> None:
        """Add a line without files and folders, without these names and those of the scene's nodes."""
        self.add(hidden(text, paths, [*names, *names_in_scene(slicer.mrmlScene)]))

    def add_job(self, job: Job, row: int | None = None) -> None:
        """Add how a job ended, with its frame or the row of a batch's table, since the log names no volume."""
        which = job.model
        if job.frame is not None:
            which = f"frame {job.frame.number}, {which}"
        elif row is not None:
            which = f"row {row}, {which}"
        paths = [path for path in (job.source, job.output) if path is not None]
        if job.state != DONE:
            frame = [job.frame.node.GetName()] if job.frame is not None else []
            self.add_hidden(f"{which}: {job.state}, {job.message}", paths, [job.name, *frame])
            return
        self.add(f"{which}: {job.state}, {job.message}")
        if job.result is not None:
            provenance = job.result.provenance
            parts = [f"{part} {seconds:.1f} s" for part, seconds in provenance.get("seconds", {}).items()]
            self.add(f"engine {provenance.get('engine')}; {', '.join(parts)}")
            for flag in job.result.flags:
                self.add(f"flag: {flag}")

    def _copy(self, _checked: bool = False) -> None:
        qt.QApplication.clipboard().setText(self.ui.logText.toPlainText())
