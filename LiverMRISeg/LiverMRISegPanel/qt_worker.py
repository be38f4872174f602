"""The worker process run by Qt: it calls back instead of making anyone wait, so that the window never freezes."""

from __future__ import annotations

from typing import Any

import qt

from LiverMRISegLib.inference.processes import end_tree, library_path
from LiverMRISegLib.inference.worker.client import WORKER_ARGUMENTS
from LiverMRISegLib.inference.worker.conversation import Conversation
from LiverMRISegLib.inference.worker.protocol import CANCEL_SECONDS, OnEvent, Request
from LiverMRISegScene.interpreter import worker_python


class QtWorker:
    """See `protocol.Worker`. The process starts with the first request and keeps its model loaded between requests."""

    def __init__(self) -> None:
        self._conversation = Conversation()
        self._process: Any = None
        self._words = ""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self._conversation.is_busy

    @property
    def process_id(self) -> int:
        """Of the worker, or of the launcher that starts it until the worker has answered; 0 if there is none."""
        return self._conversation.worker_pid or (int(self._process.processId()) if self._process is not None else 0)

    def ask(self, request: Request, on_event: OnEvent) -> None:
        """Send a request; the answers come as events of the application."""
        line = self._conversation.begin(request, on_event)
        self._words = ""
        if self._process is None:
            self._start()
        self._write(line)

    def cancel(self) -> None:
        """Ask the worker to stop; end it if it has not done so within a second."""
        self._write(self._conversation.cancel())
        number = self._conversation.number
        qt.QTimer.singleShot(int(1000 * CANCEL_SECONDS), lambda: self._end_if_still(number))

    def listen(self, seconds: float) -> None:
        """Wait for the worker without the application's events: the console waits so."""
        process = self._process
        if process is not None:
            process.waitForReadyRead(int(1000 * seconds))

    def end(self) -> None:
        """Kill the worker with all it started, then the launcher, where that is another process."""
        launcher = int(self._process.processId()) if self._process is not None else 0
        for pid in dict.fromkeys((self._conversation.worker_pid, launcher)):
            if pid:
                end_tree(pid)

    def close(self) -> None:
        """End the process and all it started; nobody is called back any more."""
        process = self._process
        if process is not None:
            process.disconnect("readyReadStandardOutput()", self._read)
            process.disconnect("readyReadStandardError()", self._hear)
            process.disconnect("finished(int,QProcess::ExitStatus)", self._finished)
            process.disconnect("errorOccurred(QProcess::ProcessError)", self._failed)
            if process.processId():
                self.end()
                process.waitForFinished(2000)
            delete_later(process)
        self._process = None
        self._conversation.forget()

    def _start(self) -> None:
        self._conversation.process_started()
        process = self._process = qt.QProcess()
        environment = qt.QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONPATH", library_path())
        process.setProcessEnvironment(environment)
        process.connect("readyReadStandardOutput()", self._read)
        process.connect("readyReadStandardError()", self._hear)
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        process.start(worker_python(), list(WORKER_ARGUMENTS))

    def _write(self, line: bytes) -> None:
        if self._process is not None and line:
            self._process.write(line)

    def _read(self) -> None:
        self._conversation.receive(bytes(self._process.readAllStandardOutput().data()))

    def _hear(self) -> None:
        self._words += bytes(self._process.readAllStandardError().data()).decode("utf-8", errors="replace")

    def _end_if_still(self, number: int) -> None:
        if self.is_busy and number == self._conversation.number:
            self.end()

    def _finished(self, code: int, status: Any) -> None:
        self._hear()
        self._drop_process()
        self._conversation.process_ended(-code if status == qt.QProcess.CrashExit else code, self._words)

    def _failed(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart:
            program = self._process.program()
            self._drop_process()
            self._conversation.fail(
                f"the segmentation process could not be started: {program} was not found or cannot be run"
            )

    def _drop_process(self) -> None:
        """The next request starts another process."""
        delete_later(self._process)
        self._process = None


def delete_later(process: Any) -> None:
    """Delete a QProcess once the application is back in its event loop.

    PythonQt deletes an object with its last Python reference. In a slot of the object's own signal that would crash
    the application, so the timer keeps a reference.
    """
    qt.QTimer.singleShot(0, lambda: process.deleteLater())


_SHARED = QtWorker()


def shared_worker() -> QtWorker:
    """The one worker of the application, for the panel and the Python console: the model is loaded once for both."""
    return _SHARED
