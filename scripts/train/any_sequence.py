"""Train the default model from label maps: python scripts/train/any_sequence.py --config configs/any_sequence.yaml."""

from __future__ import annotations

import logging
import sys

from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.training.any_sequence import AnySequenceConfig, run
from LiverMRISegLib.training.configuration import config_from_arguments


def main() -> int:
    """Read the config and run the stage; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        result = run(config_from_arguments(AnySequenceConfig, sys.argv[1:]))
    except LiverMRISegError as error:
        logging.getLogger(__name__).error("%s", error)
        return error.exit_status
    logging.getLogger(__name__).info("step %d, best score %.4f, in %s", result.step, result.best_score, result.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
