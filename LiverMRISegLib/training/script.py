"""What every script of a stage does around its one call."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TypeVar

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.training.configuration import config_from_arguments
from LiverMRISegLib.training.loop import RunResult

logger = logging.getLogger(__name__)
T = TypeVar("T")


def run_script(config: type[T], run: Callable[[T], RunResult]) -> int:
    """Read the config from the command line and run the stage; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        result = run(config_from_arguments(config, sys.argv[1:]))
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    except KeyboardInterrupt:
        logger.error("stopped; the same command goes on from the last checkpoint")
        return 130
    logger.info("step %d, best score %.4f, in %s", result.step, result.best_score, result.folder)
    return 0
