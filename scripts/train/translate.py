"""Translate labelled CT into an MR sequence: translate.py --config CONFIG."""

from __future__ import annotations

import logging
import sys

from LiverMRISegLib.adaptation.translate import TranslateConfig, run
from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.training.configuration import config_from_arguments

logger = logging.getLogger(__name__)


def main() -> int:
    """Translate and tell; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        made = run(config_from_arguments(TranslateConfig, sys.argv[1:]))
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    logger.info("%d volumes, and their datalist, in %s", len(made), made[0].parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
