"""The command `livermriseg`: runs one subcommand and turns every error into one line and an exit status.

Exit statuses: 0 done; 1 unexpected error; 2 wrong usage; 3 an input cannot be used; 4 a model cannot be used;
5 some cases of a cohort failed; 130 stopped by Ctrl-C, 143 by a termination signal.
"""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

from LiverMRISegLib.commands import adapt, demo, evaluate, measure, models, segment
from LiverMRISegLib.errors import LiverMRISegError, UsageError
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.io.streams import flush_results, give_up_stdout, prepare_streams
from LiverMRISegLib.version import __version__

INTERRUPTED = 130
TERMINATED = 143
EPILOG = """\
exit status: 0 done; 1 unexpected error; 2 wrong usage; 3 an input cannot be used; 4 a model cannot be used;
             5 some cases of a cohort failed; 130 stopped with Ctrl-C
example:     livermriseg segment t2.nii.gz -o t2_organs.seg.nrrd --report t2.html
For research use only; not a medical device."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C or a termination signal.

    Not KeyboardInterrupt itself: if one passes through a library's `exec`, Python remembers it even when it is caught
    later, and `python -m` then dies of the signal instead of returning our exit status.
    """


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line in the style of all the others."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line."""
        self.exit(2, f"livermriseg: error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command; it imports nothing heavy."""
    parser = Parser(
        prog="livermriseg",
        description="Segment the liver and other abdominal organs in MRI of any sequence.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"livermriseg {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (segment, demo, models, evaluate, measure, adapt):
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own arguments) and return the exit status."""
    prepare_streams()
    arguments = build_parser().parse_args(argv)
    _set_up_messages(arguments.verbose)
    arguments.stop = stop = _Stop()
    previous = _heed_signals(stop)
    try:
        status: int = arguments.run(arguments)
        flush_results()
        return status
    except KeyboardInterrupt:
        return _stopped(stop)
    except BrokenPipeError:
        # The reader of our output (head, less) has ended: not an error, but Python must not flush to it again.
        give_up_stdout()
        return 0
    except Exception as error:
        # A library may swallow the stop or turn it into an error of its own, e.g. when its import is interrupted.
        return _stopped(stop) if stop.status else _failed(error, arguments.verbose)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stopped(stop: _Stop) -> int:
    sys.stderr.write("livermriseg: error: stopped; no incomplete files were left behind\n")
    return stop.status or INTERRUPTED


def _failed(error: Exception, verbose: bool) -> int:
    if isinstance(error, LiverMRISegError):
        message, status = str(error), error.exit_status
    elif isinstance(error, MemoryError):
        message, status = "not enough memory; close other programs, or use a smaller volume", 1
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        message, status = f"{error.filename}: {error.strerror}; check the path", UsageError.exit_status
    else:
        message, status = f"unexpected {type(error).__name__}: {error} (--verbose shows where)", 1
    if verbose:
        traceback.print_exc(file=sys.stderr)
    sys.stderr.write(f"livermriseg: error: {' '.join(message.split())}\n")
    return status


class _Stop(CancelToken):
    """Cancels the work at the next tile; `status` is the exit status, 0 as long as nothing was stopped."""

    status = 0


def _heed_signals(stop: _Stop) -> dict[int, Any]:
    """On Ctrl-C and on a termination signal raise `Stopped`, so that temporary files are removed.

    If a library's bare `except` swallows the exception, the work stops at the next tile. Returns the previous handlers.
    """

    def stopped(number: int, _frame: FrameType | None) -> NoReturn:
        """Remember which signal it was, in case the `Stopped` is swallowed."""
        stop.status = INTERRUPTED if number == signal.SIGINT else TERMINATED
        stop.cancel()
        raise Stopped

    # Background jobs of a shell ignore Ctrl-C; then we ignore it too.
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    return {number: signal.signal(number, stopped) for number in heeded}


def _set_up_messages(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.ERROR,
        format="livermriseg: %(levelname)s: %(message)s",
    )
    logging.addLevelName(logging.WARNING, "warning")
    logging.addLevelName(logging.INFO, "info")
    logging.addLevelName(logging.ERROR, "error")
    logging.getLogger("LiverMRISegLib").setLevel(logging.DEBUG if verbose else logging.WARNING)
    if not verbose:
        # Deprecation warnings of other libraries are of no use at the command line.
        warnings.simplefilter("ignore")
