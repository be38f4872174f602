"""Label real MR by the networks of all folds and keep the cases they agree on: pseudo_label.py --config CONFIG."""

from __future__ import annotations

import logging
import sys

from LiverMRISegLib.adaptation.label_cases import LabelCasesConfig, run
from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.training.configuration import config_from_arguments

logger = logging.getLogger(__name__)


def main() -> int:
    """Label, rank and tell; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        config = config_from_arguments(LabelCasesConfig, sys.argv[1:])
        ranked = run(config)
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    kept = sum(case.is_kept for case in ranked)
    logger.info("%d of %d cases kept; all with their scores in %s", kept, len(ranked), config.output / "cases.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
