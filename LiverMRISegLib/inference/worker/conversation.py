"""The parent's side of the protocol: what the lines mean. Nothing here runs or waits.

Two transports move the lines: `client.WorkerClient` (plain Python) and the panel's `QtWorker`.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Any

from LiverMRISegLib import errors
from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegLib.inference.worker.protocol import (
    CANCEL,
    DONE,
    ERROR,
    PROGRESS,
    STARTED,
    DoneEvent,
    Event,
    FailedEvent,
    OnEvent,
    ProgressEvent,
    Request,
)
from LiverMRISegLib.io.json_text import parse_json

_SHOWN_CHARACTERS = 2000
# The exit status with which a shell or launcher passes on that its child was killed.
_KILLED_BEHIND_LAUNCHER = 128 + 9


class Conversation:
    """The parent's side of the protocol: bytes in, events out. The transport moves the bytes.

    `worker_pid` is the worker's process, 0 until it has told it. Where the worker was started through a launcher
    (PythonSlicer), the launcher is another process.
    """

    def __init__(self) -> None:
        self.worker_pid = 0
        self._number = 0
        self._on_event: OnEvent | None = None
        self._is_cancelling = False
        self._unread = b""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self._on_event is not None

    @property
    def number(self) -> int:
        """Of the last request."""
        return self._number

    def process_started(self) -> None:
        """A new process was started: nothing was heard from it yet."""
        self.worker_pid, self._unread = 0, b""

    def begin(self, request: Request, on_event: OnEvent) -> bytes:
        """The line to send for a request.

        Raises:
            LiverMRISegError: another request is under way.
        """
        if self.is_busy:
            raise LiverMRISegError("a segmentation is already running; wait for it to finish or cancel it")
        self._number += 1
        self._on_event, self._is_cancelling = on_event, False
        return _line({"id": self._number, **request})

    def cancel(self) -> bytes:
        """The line to send to cancel the request under way; empty if there is none."""
        if not self.is_busy:
            return b""
        self._is_cancelling = True
        return _line({"do": CANCEL})

    def receive(self, content: bytes) -> None:
        """Take what the worker wrote, in pieces of any length."""
        *lines, self._unread = (self._unread + content).split(b"\n")
        for line in lines:
            message = _message(line)
            if message is not None:
                self._read(message)

    def process_ended(self, status: int | None, words: str) -> None:
        """The process is gone: the request under way fails with the reason.

        Args:
            status: exit status, or a signal's number made negative, as in `subprocess`; None if it is not known.
            words: what the worker last wrote to standard error.
        """
        self.fail(why_it_ended(status, words))

    def fail(self, why: str) -> None:
        """The request under way fails for this reason; if it was being cancelled, it is cancelled."""
        self.worker_pid = 0
        self._over(FailedEvent(CancelledError() if self._is_cancelling else LiverMRISegError(why)))

    def forget(self) -> None:
        """Nobody waits for the request under way any more."""
        self._on_event, self.worker_pid = None, 0

    def _read(self, message: Mapping[str, Any]) -> None:
        if message["event"] == STARTED:
            self.worker_pid = int(message["pid"])
        if message.get("id") != self._number:
            return
        if message["event"] == PROGRESS:
            if self._on_event is not None:
                self._on_event(ProgressEvent(message["text"], message["fraction"]))
        elif message["event"] == ERROR:
            self._over(FailedEvent(_error(message["kind"], message["message"])))
        elif message["event"] == DONE:
            self._over(DoneEvent(message))

    def _over(self, event: Event) -> None:
        on_event, self._on_event = self._on_event, None  # before the call: it may ask the next request
        if on_event is not None:
            on_event(event)


def why_it_ended(status: int | None, words: str) -> str:
    """In one line: how a worker ended (see `Conversation.process_ended`), and its last words."""
    last = " ".join(words[-_SHOWN_CHARACTERS:].split())
    return f"the segmentation process ended unexpectedly ({_ending(status)}). {last}".strip()


def _message(line: bytes) -> Mapping[str, Any] | None:
    """None for a line that is not of the protocol: a launcher may print some of its own."""
    try:
        message = parse_json(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "event" in message else None


def _line(message: Mapping[str, Any]) -> bytes:
    return (json.dumps(message) + "\n").encode("utf-8")


def _error(kind: str, message: str) -> LiverMRISegError:
    """The library's own error of that name, else its base."""
    found = getattr(errors, kind, LiverMRISegError)
    is_ours = isinstance(found, type) and issubclass(found, LiverMRISegError)
    return found(message) if is_ours else LiverMRISegError(message)


def _ending(status: int | None) -> str:
    if status is None:
        return "it was closed"
    if status == _KILLED_BEHIND_LAUNCHER:
        status = -9
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"{name}; most often because memory ran out" if name == "SIGKILL" else name
