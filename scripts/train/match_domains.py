"""Give cases of worse sequences the warped labels of their nearest better case: match_domains.py --config CONFIG."""

from __future__ import annotations

import logging
import sys

from LiverMRISegLib.adaptation.match_domains import MatchDomainsConfig, run
from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.training.configuration import config_from_arguments

logger = logging.getLogger(__name__)


def main() -> int:
    """Match and tell; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        config = config_from_arguments(MatchDomainsConfig, sys.argv[1:])
        matches = run(config)
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    logger.info("%d cases matched; who got whose labels stands in %s", len(matches), config.output / "matches.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
