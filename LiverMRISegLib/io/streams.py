"""stdout and stderr as programs are given them: closed, full, or of an encoding that lacks a character."""

from __future__ import annotations

import io
import os
import sys

from LiverMRISegLib.errors import OutputError


def prepare_streams() -> None:
    """Let every text be written: what an encoding lacks as \\xe9, and to nowhere where a stream is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Opened, it also takes the number of the closed one, which would else be that of the next file written.
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_result(text: str) -> None:
    """Write to stdout; OutputError where that is full. BrokenPipeError, of a reader that has ended, is passed on."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _full(error) from error


def flush_results() -> None:
    """Flush stdout; errors as `write_result`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _full(error) from error


def give_up_stdout() -> None:
    """Let what is still to be flushed to stdout, at the latest when Python ends, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _full(error: OSError) -> OutputError:
    give_up_stdout()
    return OutputError(f"the results cannot be written to stdout ({error.strerror}); send them elsewhere")
