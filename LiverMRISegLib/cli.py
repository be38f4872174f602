"""The command `livermriseg`: parses, runs one subcommand, and turns every error into one line and an exit status.

Exit statuses: 0 done; 1 unexpected error; 2 wrong usage; 3 an input cannot be used; 4 a model cannot be used;
5 some cases of a cohort failed; 130 stopped by Ctrl-C, 143 by a termination signal.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from LiverMRISegLib import __version__
from LiverMRISegLib.commands import demo, evaluate, models, segment
from LiverMRISegLib.errors import CancelledError, LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken

INTERRUPTED = 130
TERMINATED = 143
EPILOG = """\
exit status: 0 done; 1 unexpected error; 2 wrong usage; 3 an input cannot be used; 4 a model cannot be used;
             5 some cases of a cohort failed; 130 stopped with Ctrl-C
example:     livermriseg segment t2.nii.gz -o t2_organs.seg.nrrd --report t2.html
For research use only; not a medical device."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line in the style of all the others."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit status 2 and one line."""
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
    for module in (segment, demo, models, evaluate):
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own arguments) and return the exit status."""
    arguments = build_parser().parse_args(argv)
    _set_up_messages(arguments.verbose)
    arguments.stop = CancelToken()
    previous = signal.signal(signal.SIGTERM, _terminated_by(arguments.stop))
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except CancelledError:  # only a termination signal cancels here
        return TERMINATED
    except LiverMRISegError as error:
        return _fail(str(error), error.exit_status, arguments.verbose)
    except KeyboardInterrupt:
        return _fail("stopped; nothing half-written was left behind", INTERRUPTED, verbose=False)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error, but Python must not flush into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("not enough memory; close other programs or use a smaller volume", 1, arguments.verbose)
    except Exception as error:
        text = f"unexpected {type(error).__name__}: {error} (--verbose shows where)"
        return _fail(text, 1, arguments.verbose)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _fail(message: str, status: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exc(file=sys.stderr)
    sys.stderr.write(f"livermriseg: error: {' '.join(message.split())}\n")
    return status


def _terminated_by(stop: CancelToken) -> Callable[[int, FrameType | None], NoReturn]:
    def terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
        """Unwind as for Ctrl-C, so that temporary files are removed.

        Should this exit be lost in a library's bare `except`, the work stops at its next tile.
        """
        stop.cancel()
        sys.exit(TERMINATED)

    return terminated


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
        # Other people's deprecation notices say nothing to the person at the command line.
        warnings.simplefilter("ignore")
