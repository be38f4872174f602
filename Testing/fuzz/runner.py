"""Damaged inputs one after the other in a child process, with a limit of time for each and a limit of memory.

An input is made from the name of its target and a number alone: a failure names both, and `run.py` makes it again.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import traceback
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

ACCEPTED, REFUSED, SECONDS, MEGABYTES = "accepted", "refused", 30.0, 1000
_START_SECONDS = 300.0


@dataclass(frozen=True)
class Outcome:
    """What became of input `number` of `target`: `fault` is "" unless it was wrong; `message` of a refusal."""

    target: str
    number: int
    what: str
    message: str = ""
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.target} {self.number}: {self.what} {self.message} {self.fault}".rstrip()


def outcomes(inputs: Iterable[tuple[str, int]], seconds: float = SECONDS) -> Iterator[Outcome]:
    """The outcome of every input (target, number), in their order."""
    child = _Child()
    try:
        for target, number in inputs:
            outcome = child.run(target, number, seconds)
            if outcome.what not in (ACCEPTED, REFUSED):
                child.end()
                child = _Child()
            yield outcome
    finally:
        child.end()


class _Child:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_SECONDS) or self._pipe.recv() != "ready":
            raise RuntimeError("the child process does not start")

    def run(self, target: str, number: int, seconds: float) -> Outcome:
        """The outcome of one input, a death and a hang too."""
        self._pipe.send((target, number))
        try:
            if not self._pipe.poll(seconds):
                return Outcome(target, number, "hang", fault=f"not done after {seconds:.0f} s")
            outcome: Outcome = self._pipe.recv()
            # Then the comparison with another reader, which may do as it likes.
            if outcome.what == ACCEPTED and self._pipe.poll(seconds):
                outcome = self._pipe.recv()
        except EOFError:
            self._process.join(10)
            return Outcome(target, number, "death", fault=f"exit status {self._process.exitcode}")
        return outcome

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection) -> None:
    """Runs inputs until it is killed. Nothing but outcomes leaves it: what libraries print is a fault."""
    from fuzz.targets import TARGETS

    logging.disable(logging.CRITICAL)
    printed = tempfile.TemporaryFile()  # noqa: SIM115
    os.dup2(printed.fileno(), 2)
    _limit_memory()
    pipe.send("ready")
    while True:
        try:
            name, number = pipe.recv()
        except EOFError:
            return
        target, random = TARGETS[name], np.random.default_rng([zlib.crc32(name.encode()), number])
        with tempfile.TemporaryDirectory() as folder:
            path = target.make(Path(folder), random)
            before = os.fstat(printed.fileno()).st_size
            try:
                found = target.read(path)
            except Exception as error:
                pipe.send(_of_error(name, number, error, path))
                continue
            said = os.fstat(printed.fileno()).st_size > before
            pipe.send(Outcome(name, number, ACCEPTED, fault="printed something" if said else ""))
            pipe.send(Outcome(name, number, ACCEPTED, fault="printed something" if said else target.fault(path, found)))


def _of_error(name: str, number: int, error: Exception, path: Path) -> Outcome:
    from LiverMRISegLib.errors import LiverMRISegError

    if not isinstance(error, LiverMRISegError):
        return Outcome(name, number, "uncaught", fault="".join(traceback.format_exception(error)[-3:]))
    message = str(error)
    fault = "" if path.name in message else "the message does not name the file"
    if not message.isprintable():
        fault = "the message is not one printable line"
    return Outcome(name, number, REFUSED, message.replace(str(path.parent), "..."), fault)


def _limit_memory() -> None:
    """At most `MEGABYTES` more than what the imports took."""
    try:
        import resource
    except ImportError:  # Windows
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * resource.getpagesize() + MEGABYTES * 10**6
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
