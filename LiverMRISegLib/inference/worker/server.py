"""The worker process: the segmenter, kept loaded, that answers the requests of `protocol`.

It ends when it is told to or when its input ends, so it does not outlive its parent.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from LiverMRISegLib.errors import LiverMRISegError, UsageError
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.worker.protocol import CANCEL, DONE, ERROR, PROGRESS, QUIT, STARTED

logger = logging.getLogger(__name__)


class Server:
    """Answers requests one after another; a reader thread acts on cancel and quit at once."""

    def __init__(self, requests: TextIO, replies: TextIO) -> None:
        self._requests, self._replies = requests, replies
        self._waiting: queue.Queue[tuple[dict[str, Any], CancelToken] | None] = queue.Queue()
        self._open: list[CancelToken] = []
        self._segmenter: Any = None
        self._loaded: tuple[str, str] | None = None

    def run(self) -> None:
        """Serve until told to quit or the requests end."""
        threading.Thread(target=self._read, daemon=True).start()
        while (waiting := self._waiting.get()) is not None:
            request, cancel = waiting
            self._answer(request, cancel)
            self._open.remove(cancel)

    def _read(self) -> None:
        for line in self._requests:
            try:
                request = json.loads(line)
                action = request["do"]
            except (ValueError, KeyError, TypeError):
                self._send(None, ERROR, kind="UsageError", message=f"this is not a request: {line.strip()[:200]}")
                continue
            if action == CANCEL:
                self._cancel_all()
            elif action == QUIT:
                break
            else:
                cancel = CancelToken()
                self._open.append(cancel)
                self._waiting.put((request, cancel))
        self._cancel_all()
        self._waiting.put(None)

    def _cancel_all(self) -> None:
        """The running request and the waiting ones, even while a model is being loaded."""
        for cancel in tuple(self._open):
            cancel.cancel()

    def _answer(self, request: dict[str, Any], cancel: CancelToken) -> None:
        number = request.get("id")
        actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "load": self._load, "segment": lambda r: self._segment(r, cancel), "ping": lambda _: {},
        }  # fmt: skip
        try:
            action = actions.get(request["do"])
            if action is None:
                raise UsageError(
                    f"unknown request '{request['do']}'; known are: {', '.join(actions)}, {CANCEL}, {QUIT}"
                )
            self._send(number, DONE, **action(request))
        except LiverMRISegError as error:
            self._send(number, ERROR, kind=type(error).__name__, message=str(error))
        except MemoryError:
            self._send(number, ERROR, kind="MemoryError", message="not enough memory for this volume")
        except Exception as error:
            logger.exception("request failed")
            name = type(error).__name__
            self._send(number, ERROR, kind=name, message=f"unexpected {name}: {error}")

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        from LiverMRISegLib.inference.segmenter import Segmenter
        from LiverMRISegLib.resources import DEFAULT_MODEL

        wanted = (str(request.get("model") or DEFAULT_MODEL), str(request.get("device") or "auto"))
        if wanted != self._loaded:
            self._segmenter, self._loaded = None, None
            self._segmenter = Segmenter.load(*wanted)
            self._loaded = wanted
        return {"model": self._segmenter.package.spec.name, "engine": self._segmenter.engine.name}

    def _segment(self, request: dict[str, Any], cancel: CancelToken) -> dict[str, Any]:
        from LiverMRISegLib.io import read_channels

        if self._segmenter is None or request.get("model"):
            self._load(request)
        cancel.check()
        number = request.get("id")
        images = [image.name for image in self._segmenter.package.spec.preparation.images]
        volume, *further = read_channels(Path(request["input"]), images, series=request.get("series"))
        if request.get("modality"):
            volume = replace(volume, metadata={**volume.metadata, "modality": request["modality"]})
        result = self._segmenter.segment(
            volume,
            further=further,
            organs=request.get("organs"),
            tta=bool(request.get("tta")),
            progress=lambda text, fraction: self._send(number, PROGRESS, text=text, fraction=round(fraction, 4)),
            cancel=cancel,
        )
        result.save(request["output"])
        return {
            "labels": {organ.name: value for value, organ in result.labels.items()},
            "volumes_ml": dict(result.volumes_ml),
            "flags": list(result.flags),
            "provenance": dict(result.provenance),
        }

    def _send(self, number: Any, event: str, **values: Any) -> None:
        self._replies.write(json.dumps({"id": number, "event": event, **values}) + "\n")
        self._replies.flush()


def main() -> None:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    if os.name != "nt" and os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # a group of its own, so that its parent can end it with all it started
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Whoever started it may be a launcher (PythonSlicer), whose process is not this one.
    replies.write(json.dumps({"id": None, "event": STARTED, "pid": os.getpid()}) + "\n")
    replies.flush()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(message)s")
    Server(sys.stdin, replies).run()


if __name__ == "__main__":
    main()
