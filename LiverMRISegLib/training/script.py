"""What every script of a stage does around its one call.

torch and Lightning are not imported here: scripts that need neither start in a third of the time.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.io.streams import give_up_stdout
from LiverMRISegLib.training.configuration import config_from_arguments

if TYPE_CHECKING:
    from LiverMRISegLib.training.loop import RunResult

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
_INTERRUPTED = 130  # as shells call it
ONLY_PREVIEW = "this was only the preview: nothing was trained"


def run_script(config: type[T], run: Callable[[T], R], tell: Callable[[T, R], str]) -> int:
    """Read the config from the command line, run the stage and log what `tell` makes of its result; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    def whole() -> None:
        """What fails in one line."""
        try:
            settings = config_from_arguments(config, sys.argv[1:])
        except BrokenPipeError:  # the reader of --help (head, less) has ended; nothing was to be done
            give_up_stdout()
            return
        logger.info("%s", tell(settings, run(settings)))

    return exit_status_of(whole, "stopped; the same command resumes the run")


def exit_status_of(work: Callable[[], None], stopped: str) -> int:
    """Do a script's work; its exit status. What cannot be used is told in one line, and `stopped` after Ctrl-C."""
    try:
        work()
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    except KeyboardInterrupt:
        logger.error("%s", stopped)
        return _INTERRUPTED
    return 0


def run_training(config: type[T], run: Callable[[T], RunResult]) -> int:
    """`run_script` of a stage that trains."""
    return run_script(config, run, lambda _, result: where_it_ended(result))


def where_it_ended(result: RunResult) -> str:
    """The last line of a training, in words."""
    if result.hours:
        return ONLY_PREVIEW
    has_score = math.isfinite(result.best_score)
    score = f"best validation score {result.best_score:.4f}" if has_score else "nothing was validated"
    return f"step {result.step} reached, {score}; everything is in {result.folder}"
