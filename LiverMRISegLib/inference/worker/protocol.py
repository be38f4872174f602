"""What is said to the worker process and what it answers: JSON, one object a line. Nothing here runs or waits.

    <- {"id": null, "event": "started", "pid": 4711}
    -> {"id": 1, "do": "load", "model": "liver-any-sequence", "device": "auto"}
    <- {"id": 1, "event": "done", "model": "liver-any-sequence", "engine": "openvino"}
    -> {"id": 2, "do": "segment", "input": "t2.nii.gz", "output": "t2.seg.nrrd", "organs": null, "tta": false}
    -> {"do": "cancel"}        -> {"do": "quit"}
    <- {"id": 2, "event": "progress", "text": "...", "fraction": 0.4}
    <- {"id": 2, "event": "done", "labels": {"liver": 1, ...}, "volumes_ml": {...}, "trust": {...}, "flags": [...],
        "provenance": {...}}
    <- {"id": 2, "event": "error", "kind": "InputError", "message": "..."}

What else it can be asked for is in `tasks`.

`server` is the worker's side. Two transports carry the parent's side, `client.WorkerClient` (plain Python) and the
panel's `QtWorker`; both leave what the lines mean to `Conversation`.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from LiverMRISegLib import errors
from LiverMRISegLib.errors import CancelledError, LiverMRISegError, UsageError
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegLib.inference.worker.tasks import EXPORT, MEASURE, STUDY, ExportTask, MeasureTask
from LiverMRISegLib.io.dataclass_reader import read_dataclass, shown, to_plain
from LiverMRISegLib.io.json_text import parse_json

STARTED, PROGRESS, DONE, ERROR = "started", "progress", "done", "error"
LOAD, SEGMENT, PING, CANCEL, QUIT = "load", "segment", "ping", "cancel", "quit"
_ACTIONS = (LOAD, SEGMENT, PING, MEASURE, EXPORT, STUDY)
# A worker that has not heard a cancel after this time is ended.
CANCEL_SECONDS = 0.8
_CANCELLED = "cancelled; nothing was written"
_SHOWN_CHARACTERS = 2000
# The exit status with which a shell or launcher passes on that its child was killed.
_KILLED_BEHIND_LAUNCHER = 128 + 9

Request = dict[str, Any]


@dataclass(frozen=True)
class ProgressEvent:
    """The worker is busy with `text`; `fraction` of the whole is done, 0 to 1."""

    text: str
    fraction: float


@dataclass(frozen=True)
class DoneEvent:
    """The request is done; `reply` holds what the worker answered."""

    reply: Mapping[str, Any]


@dataclass(frozen=True)
class FailedEvent:
    """The request failed: with the worker's own error, CancelledError, or the reason why the worker died."""

    error: LiverMRISegError


@dataclass(frozen=True)
class CheckedRequest:
    """A request as the worker reads it: `load_request` and `segment_request` say what the fields mean."""

    do: str
    id: Any = None
    model: str | None = None
    device: str | None = None
    input: Path | None = None
    output: Path | None = None
    organs: list[str] | None = None
    tta: bool | None = None
    modality: str | None = None
    series: str | None = None
    inside: ChosenBox | None = None
    study: str | None = None
    case: str | None = None
    frame_of_reference: str | None = None
    measure: MeasureTask | None = None
    export: ExportTask | None = None


def check_request(request: Request) -> CheckedRequest:
    """The request with its fields checked; UsageError names a field that is unknown or of the wrong type."""
    action = request.get("do")
    if action not in _ACTIONS:
        known = ", ".join((*_ACTIONS, CANCEL, QUIT))
        raise UsageError(f"unknown request {shown(action)}; known are: {known}")
    return read_dataclass(CheckedRequest, request, f"request to {action}")


Event = ProgressEvent | DoneEvent | FailedEvent
OnEvent = Callable[[Event], None]


class Worker(Protocol):
    """A worker process seen from its parent. It answers one request at a time."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""

    def ask(self, request: Request, on_event: OnEvent) -> None:
        """Send a request. `on_event` gets ProgressEvents and, last, a DoneEvent or a FailedEvent.

        Raises:
            LiverMRISegError: another request is under way.
        """

    def cancel(self) -> None:
        """Ask the worker to stop what it does."""

    def listen(self, seconds: float) -> None:
        """Wait at most `seconds` for the worker, and pass on what it said. For callers without an event loop."""

    def end(self) -> None:
        """Kill the process and all it started; the request under way fails."""

    def close(self) -> None:
        """Kill the process and all it started; the request under way is forgotten."""


def load_request(model: str | None = None, device: str = "auto") -> Request:
    """Load a model (default: the default model); the reply has "model" and "engine"."""
    return {"do": "load", "model": model, "device": device}


def segment_request(
    source: Path,
    output: Path,
    *,
    model: str | None = None,
    device: str = "auto",
    organs: Sequence[str] | None = None,
    tta: bool = False,
    modality: str | None = None,
    inside: ChosenBox | None = None,
    study: str | None = None,
    case: str | None = None,
    frame_of_reference: str | None = None,
) -> Request:
    """Segment a file into a file; the reply has "labels", "volumes_ml", "trust", "flags" and "provenance".

    Args:
        source: the volume; for a model of several images a case any of them, with the others beside it (`io.channels`).
        output: the label map, in the format of its ending.
        model: name or path; default: the model that is loaded, or the default model.
        device: as in `Segmenter.load`.
        organs: only these; None for all.
        tta: average over mirrored copies.
        modality: as DICOM writes it, where the file does not give it.
        inside: segment in this box alone.
        study: the worker keeps where the organs are, as those of `case` of this study, for a `tasks.study_request`.
        case: see `study`.
        frame_of_reference: DICOM's UID, if it is known; only volumes that share it are compared.
    """
    return {
        "do": "segment", "model": model, "device": device, "input": str(source), "output": str(output),
        "organs": list(organs) if organs is not None else None, "tta": tta, "modality": modality,
        "inside": to_plain(inside), "study": study, "case": case, "frame_of_reference": frame_of_reference,
    }  # fmt: skip


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
        self._over(
            FailedEvent(
                CancelledError("cancelled; nothing was written") if self._is_cancelling else LiverMRISegError(why)
            )
        )

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
