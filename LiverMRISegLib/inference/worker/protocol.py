"""What is said to the worker process and what it answers: JSON, one object a line. Nothing here runs or waits.

    <- {"id": null, "event": "started", "pid": 4711}
    -> {"id": 1, "do": "load", "model": "liver-any-sequence", "device": "auto"}
    <- {"id": 1, "event": "done", "model": "liver-any-sequence", "engine": "openvino"}
    -> {"id": 2, "do": "segment", "input": "t2.nii.gz", "output": "t2.seg.nrrd", "organs": null, "tta": false}
    -> {"do": "cancel"}        -> {"do": "quit"}
    <- {"id": 2, "event": "progress", "text": "...", "fraction": 0.4}
    <- {"id": 2, "event": "done", "labels": {"liver": 1, ...}, "volumes_ml": {...}, "trust": {...}, "flags": [...],
        "flag_parts": [{"organ": "liver", "kind": "trust", "text": "has trust ..."}, ...], "provenance": {...}}
    <- {"id": 2, "event": "error", "kind": "InputError", "message": "..."}

What else it can be asked for is in `tasks`.

`server` is the worker's side, `conversation` the parent's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from LiverMRISegLib.errors import LiverMRISegError, UsageError
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegLib.inference.worker.tasks import EXPORT, MEASURE, STUDY, ExportTask, MeasureTask
from LiverMRISegLib.io.dataclass_reader import read_dataclass, shown, to_plain

STARTED, PROGRESS, DONE, ERROR = "started", "progress", "done", "error"
LOAD, SEGMENT, PING, CANCEL, QUIT = "load", "segment", "ping", "cancel", "quit"
_ACTIONS = (LOAD, SEGMENT, PING, MEASURE, EXPORT, STUDY)
# A worker that has not heard a cancel after this time is ended.
CANCEL_SECONDS = 0.8

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
    series: str | None = None,
    inside: ChosenBox | None = None,
    study: str | None = None,
    case: str | None = None,
    frame_of_reference: str | None = None,
) -> Request:
    """Segment a file into a file; the reply has "labels", "volumes_ml", "trust", "flags" and "provenance".

    "flag_parts" says of each flag which organ it is about and what kind it is (`inference.flag`).

    Args:
        source: the volume; for a model of several images a case any of them, with the others beside it (`io.channels`).
        output: the label map, in the format of its ending.
        model: name or path; default: the model that is loaded, or the default model.
        device: as in `Segmenter.load`.
        organs: only these; None for all.
        tta: average over mirrored copies.
        modality: as DICOM writes it, where the file does not give it.
        series: UID of the series that is meant, where `source` is a DICOM folder.
        inside: segment in this box alone.
        study: the worker keeps where the organs are, as those of `case` of this study, for a `tasks.study_request`.
        case: see `study`.
        frame_of_reference: DICOM's UID, if it is known; only volumes that share it are compared.
    """
    return {
        "do": "segment", "model": model, "device": device, "input": str(source), "output": str(output),
        "organs": list(organs) if organs is not None else None, "tta": tta, "modality": modality, "series": series,
        "inside": to_plain(inside), "study": study, "case": case, "frame_of_reference": frame_of_reference,
    }  # fmt: skip
