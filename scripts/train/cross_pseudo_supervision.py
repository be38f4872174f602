"""Cross pseudo supervision on labelled and unlabelled volumes: cross_pseudo_supervision.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.cross_pseudo_supervision import CrossPseudoStageConfig, run_cross_pseudo_supervision

if __name__ == "__main__":
    sys.exit(run_training(CrossPseudoStageConfig, run_cross_pseudo_supervision))
