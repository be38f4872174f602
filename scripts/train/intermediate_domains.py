"""MiDSS: labels of one domain, unlabelled volumes of many: intermediate_domains.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.intermediate_domains import IntermediateDomainsStageConfig, run_intermediate_domains

if __name__ == "__main__":
    sys.exit(run_training(IntermediateDomainsStageConfig, run_intermediate_domains))
