"""Asks which NVIDIA GPUs there are, without waiting: on some servers the driver takes seconds to answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import qt

from LiverMRISegLib.inference.engines.devices import NVIDIA_ARGUMENTS, NVIDIA_PROGRAM, NVIDIA_SECONDS, Device, gpus_told
from LiverMRISegPanel.qt_worker import delete_later


class GpuQuery:
    """Runs nvidia-smi with Qt and passes on its answer.

    Args:
        found: called with the GPUs once for each `ask`, in the main thread; with none if there is no driver.
    """

    def __init__(self, found: Callable[[Sequence[Device]], None]) -> None:
        self._found = found
        self._process: Any = None

    def ask(self) -> None:
        """Ask, unless a question is still unanswered."""
        program = shutil.which(NVIDIA_PROGRAM)
        if program is None:
            self._found(())
        if program is None or self._process is not None:
            return
        process = self._process = qt.QProcess()
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        process.start(program, list(NVIDIA_ARGUMENTS))
        qt.QTimer.singleShot(1000 * NVIDIA_SECONDS, lambda: process.kill() if process is self._process else None)

    def close(self) -> None:
        """Stop; `found` is not called any more."""
        process, self._process = self._process, None
        if process is not None:
            process.disconnect("finished(int,QProcess::ExitStatus)", self._finished)
            process.disconnect("errorOccurred(QProcess::ProcessError)", self._failed)
            process.kill()
            process.waitForFinished(1000)
            delete_later(process)

    def _finished(self, code: int, status: Any) -> None:
        process, self._process = self._process, None
        text = bytes(process.readAllStandardOutput().data()).decode("utf-8", errors="replace")
        delete_later(process)
        is_told = code == 0 and status == qt.QProcess.NormalExit
        self._found(gpus_told(text) if is_told else ())

    def _failed(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart and self._process is not None:
            delete_later(self._process)
            self._process = None
            self._found(())
