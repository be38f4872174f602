"""The worker process run by plain Python, for scripts, batches and the console; and waiting for an answer."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from typing import IO, Any

from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegLib.inference.processes import NO_WINDOW, end_tree, library_path
from LiverMRISegLib.inference.progress import CancelToken, Progress, silent
from LiverMRISegLib.inference.worker.conversation import Conversation
from LiverMRISegLib.inference.worker.protocol import (
    CANCEL_SECONDS,
    Event,
    FailedEvent,
    OnEvent,
    ProgressEvent,
    Request,
    Worker,
)

WORKER_ARGUMENTS = ("-u", "-m", "LiverMRISegLib.inference.worker.server")
_POLL_SECONDS = 0.05
_ENDING_SECONDS = 10
_PIECE = 65536


def ask_and_wait(
    worker: Worker, request: Request, progress: Progress | None = None, cancel: CancelToken | None = None
) -> dict[str, Any]:
    """Send a request and wait for its reply.

    Raises:
        CancelledError: within a second after `cancel` was used.
        LiverMRISegError: what the worker raised, or why it died, or that it was closed in the meantime.
    """
    events: deque[Event] = deque()
    worker.ask(request, events.append)
    give_up: float | None = None
    while True:
        give_up = _cancelled(worker, cancel or CancelToken(), give_up)
        worker.listen(_POLL_SECONDS)
        if not events and not worker.is_busy:
            raise LiverMRISegError("the segmentation process was closed while it was asked for something")
        while events:
            event = events.popleft()
            if isinstance(event, ProgressEvent):
                (progress or silent)(event.text, event.fraction)
            elif isinstance(event, FailedEvent):
                raise event.error
            else:
                return dict(event.reply)


def _cancelled(worker: Worker, cancel: CancelToken, give_up: float | None) -> float | None:
    """Pass a cancel on once, and end a worker that has not heard it in time; the time when that will be."""
    try:
        cancel.check()
    except CancelledError:
        if give_up is None:
            worker.cancel()
            return time.monotonic() + CANCEL_SECONDS
        if time.monotonic() > give_up:
            worker.end()
    return give_up


class WorkerClient:
    """A worker process with its model kept loaded between requests. Use as a context manager, or `close` it.

    Args:
        python: interpreter to run the worker with.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self.python = python
        self._conversation = Conversation()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: queue.Queue[bytes] = queue.Queue()
        self._messages = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_busy(self) -> bool:
        """See `protocol.Worker`."""
        return self._conversation.is_busy

    def call(
        self, request: Request, progress: Progress | None = None, cancel: CancelToken | None = None
    ) -> dict[str, Any]:
        """Send a request and wait for its reply: see `ask_and_wait`."""
        return ask_and_wait(self, request, progress, cancel)

    def ask(self, request: Request, on_event: OnEvent) -> None:
        """See `protocol.Worker`; `listen` passes the answers on."""
        line = self._conversation.begin(request, on_event)
        if self._process is not None and self._process.poll() is not None:
            self._end_process()  # it died while nobody waited for it
        if self._process is None:
            self._start()
        self._write(line)

    def cancel(self) -> None:
        """See `protocol.Worker`."""
        self._write(self._conversation.cancel())

    def listen(self, seconds: float) -> None:
        """See `protocol.Worker`."""
        try:
            content = self._output.get(timeout=seconds)
        except queue.Empty:
            return
        if content:
            self._conversation.receive(content)
        else:
            self._wait_for_end()
            status = self._end_process()
            self._messages.seek(0)
            self._conversation.process_ended(status, self._messages.read())

    def end(self) -> None:
        """See `protocol.Worker`."""
        if self._process is not None and self._process.poll() is None:
            for pid in filter(None, dict.fromkeys((self._conversation.worker_pid, self._process.pid))):
                end_tree(pid)

    def close(self) -> None:
        """See `protocol.Worker`."""
        self._end_process()
        self._conversation.forget()

    def _start(self) -> None:
        self._output = queue.Queue()
        self._messages.seek(0)
        self._messages.truncate()
        self._conversation.process_started()
        self._process = subprocess.Popen(
            [self.python, *WORKER_ARGUMENTS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, creationflags=NO_WINDOW,
            env={**os.environ, "PYTHONPATH": library_path()}, start_new_session=os.name != "nt",
        )  # fmt: skip
        threading.Thread(target=_pump, args=(self._process.stdout, self._output), daemon=True).start()

    def _write(self, line: bytes) -> None:
        """Send a line; if the worker has just died, `listen` will hear of it."""
        stream = self._process.stdin if self._process is not None else None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.write(line)
                stream.flush()

    def _wait_for_end(self) -> None:
        """Its output has ended; give it the time to end by itself, so that its own exit status is seen."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_SECONDS)

    def _end_process(self) -> int | None:
        """Kill what still runs; the exit status, None if there was no process."""
        self.end()
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin is not None:
            with contextlib.suppress(OSError):  # a request that the dead worker never read
                process.stdin.close()
        return process.wait()


def _pump(stream: IO[bytes], output: queue.Queue[bytes]) -> None:
    """Pass on what a process writes; an empty piece at its end."""
    with stream:
        while piece := os.read(stream.fileno(), _PIECE):
            output.put(piece)
    output.put(b"")
