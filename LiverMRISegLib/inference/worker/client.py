"""The parent's side of `worker`: start it, ask it, cancel it, and say in words why it died."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib import errors
from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken, Progress, silent
from LiverMRISegLib.inference.worker.server import STARTED

_POLL_SECONDS = 0.05
CANCEL_SECONDS = 0.8
WORKER_ARGUMENTS = ("-u", "-m", "LiverMRISegLib.inference.worker.server")
_SHOWN_CHARACTERS = 2000
# How a launcher tells that its process was killed, as shells do.
_KILLED_BEHIND_LAUNCHER = 128 + 9


class WorkerClient:
    """A worker process with its model kept loaded between volumes. Use as a context manager, or `close` it.

    Args:
        model: name or path.
        device: as of `Segmenter.load`.
        python: interpreter to run the worker with.
    """

    def __init__(self, model: str | None = None, device: str = "auto", python: str = sys.executable) -> None:
        self.model, self.device, self.python = model, device, python
        self._process: subprocess.Popen[str] | None = None
        self._leader = 0
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._messages = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._number = 0

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def load(self) -> dict[str, Any]:
        """Start the worker if need be and load the model; tells "model" and "engine"."""
        return self._ask({"do": "load", "model": self.model, "device": self.device}, silent, CancelToken())

    def segment(
        self,
        source: Path,
        output: Path,
        *,
        organs: Sequence[str] | None = None,
        tta: bool = False,
        modality: str | None = None,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> dict[str, Any]:
        """Segment a file, and those of the same case, into a file; tells "volumes_ml", "flags" and "provenance".

        `modality`: of the image, as DICOM writes it, where the file does not tell.

        Raises:
            CancelledError: within a second after `cancel` was used.
            LiverMRISegError: what the worker raised, or why it died.
        """
        request = {
            "do": "segment", "model": self.model, "device": self.device, "input": str(source), "output": str(output),
            "organs": list(organs) if organs is not None else None, "tta": tta,
            "modality": modality,
        }  # fmt: skip
        return self._ask(request, progress or silent, cancel or CancelToken())

    def close(self) -> None:
        """End the worker and all it started."""
        process, self._process = self._process, None
        if process is not None:
            _end(process, self._leader)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):  # a request that the dead worker never read
                        stream.close()

    def _ask(self, request: dict[str, Any], progress: Progress, cancel: CancelToken) -> dict[str, Any]:
        self._start()
        self._number += 1
        self._send({"id": self._number, **request})
        give_up: float | None = None
        while True:
            give_up = self._cancelled(cancel, give_up)
            try:
                reply = self._replies.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if reply is None:
                raise self._death()
            if reply["event"] == STARTED:
                self._leader = int(reply["pid"])
            if reply.get("id") != self._number:
                continue
            if reply["event"] == "progress":
                progress(reply["text"], reply["fraction"])
            elif reply["event"] == "error":
                raise _as_raised(reply["kind"], reply["message"])
            else:
                return reply

    def _cancelled(self, cancel: CancelToken, give_up: float | None) -> float | None:
        """Pass a cancel on once; if the worker is not done with it in time, end the worker."""
        try:
            cancel.check()
        except CancelledError:
            if give_up is None:
                self._send({"do": "cancel"})
                return time.monotonic() + CANCEL_SECONDS
            if time.monotonic() > give_up:
                self.close()
                raise
        return give_up

    def _start(self) -> None:
        if self.is_running:
            return
        self._replies, self._leader = queue.Queue(), 0
        self._messages.seek(0)
        self._messages.truncate()
        self._process = subprocess.Popen(
            [self.python, *WORKER_ARGUMENTS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": python_path()}, start_new_session=os.name != "nt",
        )  # fmt: skip
        threading.Thread(target=_pump, args=(self._process.stdout, self._replies), daemon=True).start()

    def _send(self, request: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise self._death()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._death() from error

    def _death(self) -> LiverMRISegError:
        """Why the worker is gone: its last words and how it ended."""
        process = self._process
        status = process.wait() if process is not None else None
        self.close()
        self._messages.seek(0)
        return LiverMRISegError(why_it_ended(status, self._messages.read()))


def python_path() -> str:
    """PYTHONPATH for the worker: this library first, then what the parent has."""
    return os.pathsep.join([str(Path(__file__).resolve().parents[2]), *_inherited_path()])


def why_it_ended(status: int | None, words: str) -> str:
    """In one line: exit status or signal (negative, as of `subprocess`) of a worker, and its last words."""
    last = " ".join(words[-_SHOWN_CHARACTERS:].split())
    return f"the segmentation process ended unexpectedly ({_ending(status)}). {last}".strip()


def end_tree(pid: int) -> None:
    """Kill a worker and all it started: it leads a process group of its own; or a launcher, which leads none.

    Nothing happens if it is gone. A launcher must not be ended before its worker, whose pid `STARTED` tells.
    """
    if os.name == "nt":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS refuses the group of a process that has just ended
            os.kill(pid, signal.SIGKILL)


def _pump(stream: Any, replies: queue.Queue[dict[str, Any] | None]) -> None:
    try:
        for line in stream:
            replies.put(json.loads(line))
    except ValueError:  # the stream was closed, or a half-written last line
        pass
    replies.put(None)


def _as_raised(kind: str, message: str) -> LiverMRISegError:
    """The library's own error of that name, else its base."""
    found = getattr(errors, kind, LiverMRISegError)
    return found(message) if issubclass(found, LiverMRISegError) else LiverMRISegError(message)


def _ending(status: int | None) -> str:
    if status is None:
        return "it was closed"
    if status == _KILLED_BEHIND_LAUNCHER:
        status = -9
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"{name}; most often the memory was full" if name == "SIGKILL" else name


def _end(process: subprocess.Popen[str], leader: int) -> None:
    if process.poll() is None:
        for pid in filter(None, dict.fromkeys((leader, process.pid))):
            end_tree(pid)
    process.wait()


def _inherited_path() -> list[str]:
    return [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
