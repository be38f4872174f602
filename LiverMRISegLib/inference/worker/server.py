"""The worker process: the segmenter, kept loaded, that answers the requests of `protocol`.

It ends when it is told to, when its input ends, or when its parent has ended, whatever it is doing then.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from dataclasses import replace
from typing import IO, Any, TextIO

from LiverMRISegLib.errors import LiverMRISegError, UsageError
from LiverMRISegLib.inference.flag import to_parts
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.worker.protocol import (
    CANCEL,
    DONE,
    ERROR,
    LOAD,
    PROGRESS,
    QUIT,
    SEGMENT,
    STARTED,
    CheckedRequest,
    check_request,
)
from LiverMRISegLib.inference.worker.tasks import STUDY
from LiverMRISegLib.io.json_text import parse_json

logger = logging.getLogger(__name__)
LONGEST_LINE = 2**20
# What is under way when the requests end has this long to heed its cancel.
ENDING_SECONDS = 10.0
_LOOK_SECONDS = 1.0


class Server:
    """Answers requests one after another; a reader thread acts on cancel and quit at once.

    Args:
        requests: a line each, read without end: whatever comes is a request or is answered with an error.
        replies: for the answers.
        is_process: this process has no other task, and ends at the latest `ENDING_SECONDS` after the requests.
    """

    def __init__(self, requests: IO[bytes], replies: TextIO, *, is_process: bool = False) -> None:
        self._requests, self._replies, self._is_process = requests, replies, is_process
        self._waiting: queue.Queue[tuple[dict[str, Any], CancelToken] | None] = queue.Queue()
        self._open: list[CancelToken] = []
        self._writing = threading.Lock()
        self._segmenter: Any = None
        self._studies: Any = None
        self._loaded: tuple[Any, ...] | None = None

    def run(self) -> None:
        """Serve until told to quit or the requests end."""
        threading.Thread(target=self._read, daemon=True).start()
        while (waiting := self._waiting.get()) is not None:
            request, cancel = waiting
            self._answer(request, cancel)
            self._open.remove(cancel)

    def _read(self) -> None:
        """Pass the requests on. However this ends, the worker ends after it."""
        try:
            while line := self._requests.readline(LONGEST_LINE):
                if not self._take(line):
                    break
        except (OSError, ValueError):  # the pipe is broken or was closed
            pass
        finally:
            self._cancel_all()
            self._waiting.put(None)
            if self._is_process:  # a request that does not heed its cancel must not keep the worker
                time.sleep(ENDING_SECONDS)
                os._exit(1)

    def _take(self, line: bytes) -> bool:
        """Act on a line; False for the one that says quit."""
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            self._skip_line()
            self._refuse(line, f"longer than {LONGEST_LINE} bytes")
            return True
        try:
            request = parse_json(line)
        except ValueError as error:
            self._refuse(line, str(error))
            return True
        if not isinstance(request, dict) or "do" not in request:
            self._refuse(line, "not an object with 'do'")
            return True
        action = request["do"]
        if action == CANCEL:
            self._cancel_all()
        elif action == QUIT:
            return False
        else:
            cancel = CancelToken()
            self._open.append(cancel)
            self._waiting.put((request, cancel))
        return True

    def _skip_line(self) -> None:
        """What is left of a line of any length, a piece at a time."""
        while (piece := self._requests.readline(LONGEST_LINE)) and not piece.endswith(b"\n"):
            pass

    def _refuse(self, line: bytes, why: str) -> None:
        begin = " ".join(line[:200].decode("utf-8", "replace").split())
        self._send(None, ERROR, kind="UsageError", message=f"this is not a request ({why}): {begin}")

    def _cancel_all(self) -> None:
        """The running request and the waiting ones, even while a model is being loaded."""
        for cancel in tuple(self._open):
            cancel.cancel()

    def _answer(self, request: dict[str, Any], cancel: CancelToken) -> None:
        number = request.get("id")
        try:
            self._send(number, DONE, **self._done(request, cancel))
        except LiverMRISegError as error:
            self._send(number, ERROR, kind=type(error).__name__, message=str(error))
        except MemoryError:
            self._send(number, ERROR, kind="MemoryError", message="not enough memory for this volume")
        except Exception as error:
            logger.exception("request failed")
            name = type(error).__name__
            self._send(number, ERROR, kind=name, message=f"unexpected {name}: {error}")

    def _done(self, request: dict[str, Any], cancel: CancelToken) -> dict[str, Any]:
        """Carry a request out; what it is answered with."""
        checked = check_request(request)
        if checked.do == LOAD:
            return self._load(checked.model, checked.device)
        if checked.do == SEGMENT:
            return self._segment(checked, cancel)
        return self._other(checked)

    def _other(self, request: CheckedRequest) -> dict[str, Any]:
        """What needs no model: see `tasks`. Without its task a request has nothing to do."""
        if request.measure is not None:
            from LiverMRISegLib.inference.worker.measuring import measured

            return measured(request.measure)
        if request.export is not None:
            from LiverMRISegLib.inference.worker.exporting import exported

            return exported(request.export)
        if request.study is not None and self._studies is not None:
            return {"disagreements": self._studies.disagreements(request.study)}
        return {"disagreements": {}} if request.do == STUDY else {}

    def _load(self, model: str | None, device: str | None) -> dict[str, Any]:
        from LiverMRISegLib.inference.segmenter import Segmenter
        from LiverMRISegLib.models.catalog import find_model
        from LiverMRISegLib.models.package.storage import stamp
        from LiverMRISegLib.resources import DEFAULT_MODEL

        path, device = find_model(model or DEFAULT_MODEL), device or "auto"
        wanted = (path, device, stamp(path))  # another model may have taken the name in the meantime
        if wanted != self._loaded:
            self._segmenter, self._loaded = None, None
            self._segmenter = Segmenter.load(path, device)
            self._loaded = wanted
        return {"model": self._segmenter.package.spec.name, "engine": self._segmenter.engine.name}

    def _segment(self, request: CheckedRequest, cancel: CancelToken) -> dict[str, Any]:
        from LiverMRISegLib.io import read_channels

        if request.input is None or request.output is None:
            raise UsageError("a request to segment needs 'input' and 'output'")
        if self._segmenter is None or request.model:
            self._load(request.model, request.device)
        cancel.check()
        images = [image.name for image in self._segmenter.package.spec.preparation.images]
        volume, *further = read_channels(request.input, images, series=request.series)
        if request.modality:
            volume = replace(volume, metadata={**volume.metadata, "modality": request.modality})
        result = self._segmenter.segment(
            volume,
            further=further,
            organs=request.organs,
            tta=bool(request.tta),
            inside=request.inside,
            progress=lambda text, fraction: self._send(request.id, PROGRESS, text=text, fraction=round(fraction, 4)),
            cancel=cancel,
        )
        result.save(request.output)
        if request.study is not None:
            self._remember(request, result)
        return {
            "labels": {organ.name: value for value, organ in result.labels.items()},
            "volumes_ml": dict(result.volumes_ml),
            "trust": dict(result.trust),
            "flags": list(result.flags),
            "flag_parts": to_parts(result.flags),
            "provenance": dict(result.provenance),
        }

    def _remember(self, request: CheckedRequest, result: Any) -> None:
        if self._studies is None:
            from LiverMRISegLib.inference.worker.studies import Studies

            self._studies = Studies()
        self._studies.add(request.study, request.case or str(request.id), result, request.frame_of_reference)

    def _send(self, number: Any, event: str, **values: Any) -> None:
        number = number if type(number) in (int, str) else None  # anything else is not an id of ours
        line = json.dumps({"id": number, "event": event, **values}) + "\n"
        with self._writing, contextlib.suppress(BrokenPipeError):  # nobody listens: the requests will end too
            self._replies.write(line)
            self._replies.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, even if others still hold the pipe open."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    if os.name != "nt":
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)  # a group of its own, so that its parent can end it with all it started
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Whoever started it may be a launcher (PythonSlicer), whose process is not this one.
    replies.write(json.dumps({"id": None, "event": STARTED, "pid": os.getpid()}) + "\n")
    replies.flush()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(message)s")
    Server(sys.stdin.buffer, replies, is_process=True).run()


if __name__ == "__main__":
    main()
