"""Give cases of worse sequences the warped labels of their nearest better case: match_domains.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.pseudo_labels.match_domains import MatchDomainsConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(
        run_script(MatchDomainsConfig, run, lambda c, found: f"{len(found)} cases matched: {c.output}/matches.csv")
    )
