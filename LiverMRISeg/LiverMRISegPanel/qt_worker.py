"""The core's worker process run by Qt: signals instead of waiting, so that the window never freezes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt

from LiverMRISegLib.inference.worker.client import CANCEL_SECONDS, WORKER_ARGUMENTS, end_tree, python_path, why_it_ended
from LiverMRISegLib.inference.worker.server import STARTED

Reply = dict[str, Any]


class QtWorker:
    """A `jobs.Worker`. The process stays alive with its model loaded between requests.

    Args:
        python: the interpreter to run the worker with.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._process: Any = None
        self._leader = 0
        self._number = 0
        self._on_reply: Callable[[Reply], None] | None = None
        self._is_cancelling = False
        self._unread, self._words = b"", ""

    @property
    def process_id(self) -> int:
        """Of the worker, or until that has told it of the launcher that starts it; 0 if none runs."""
        return self._leader or (int(self._process.processId()) if self._process is not None else 0)

    def ask(self, request: Reply, on_reply: Callable[[Reply], None]) -> None:
        """Send a request; `on_reply` gets progress, and at last "done" or "error"."""
        self._number += 1
        self._on_reply, self._is_cancelling, self._words = on_reply, False, ""
        if self._process is None:
            self._start()
        self._write({"id": self._number, **request})

    def cancel(self) -> None:
        """Ask the worker to stop; end it if it has not done so within a second."""
        if self._on_reply is None or self._process is None:
            return
        self._is_cancelling = True
        self._write({"do": "cancel"})
        number = self._number
        qt.QTimer.singleShot(int(1000 * CANCEL_SECONDS), lambda: self._end_if_still(number))

    def close(self) -> None:
        """End the process and all it started; nothing is replied any more."""
        process, self._process, self._on_reply = self._process, None, None
        if process is None:
            return
        process.disconnect("readyReadStandardOutput()", self._read)
        process.disconnect("readyReadStandardError()", self._hear)
        process.disconnect("finished(int,QProcess::ExitStatus)", self._finished)
        process.disconnect("errorOccurred(QProcess::ProcessError)", self._failed)
        if process.processId():
            self._end(process)
            process.waitForFinished(2000)
        self._leader = 0
        process.deleteLater()

    def _end(self, process: Any) -> None:
        """The worker with all it started, then the launcher, where that is another process."""
        for pid in dict.fromkeys((self._leader, int(process.processId()))):
            if pid:
                end_tree(pid)

    def _start(self) -> None:
        self._unread, self._words, self._leader = b"", "", 0
        process = self._process = qt.QProcess()
        environment = qt.QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONPATH", python_path())
        process.setProcessEnvironment(environment)
        process.connect("readyReadStandardOutput()", self._read)
        process.connect("readyReadStandardError()", self._hear)
        process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        process.start(self._python, list(WORKER_ARGUMENTS))

    def _write(self, request: Reply) -> None:
        if self._process is not None:
            self._process.write((json.dumps(request) + "\n").encode("utf-8"))

    def _read(self) -> None:
        self._unread += bytes(self._process.readAllStandardOutput().data())
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            reply = json.loads(line)
            if reply["event"] == STARTED:
                self._leader = int(reply["pid"])
            if reply.get("id") == self._number and self._on_reply is not None:
                self._deliver(reply)

    def _hear(self) -> None:
        self._words += bytes(self._process.readAllStandardError().data()).decode("utf-8", errors="replace")

    def _deliver(self, reply: Reply) -> None:
        on_reply = self._on_reply
        if reply["event"] != "progress":
            self._on_reply = None  # before the call: it may ask the next request
        if on_reply is not None:
            on_reply(reply)

    def _end_if_still(self, number: int) -> None:
        if self._on_reply is not None and number == self._number and self._process is not None:
            self._end(self._process)

    def _finished(self, code: int, status: Any) -> None:
        self._hear()
        crashed = status == qt.QProcess.CrashExit
        self._gone(why_it_ended(-code if crashed else code, self._words))

    def _failed(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart:
            self._gone(f"the segmentation process could not be started: {self._python} was not found or cannot be run")

    def _gone(self, why: str) -> None:
        """The process is no more: the request under way fails with the real cause, the next starts another process."""
        process, self._process, self._leader = self._process, None, 0
        if process is not None:
            process.deleteLater()
        if self._on_reply is not None:
            kind = "CancelledError" if self._is_cancelling else "LiverMRISegError"
            self._deliver({"event": "error", "kind": kind, "message": "cancelled" if self._is_cancelling else why})
