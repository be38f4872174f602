"""Plan spacing, patch, network and normalisation from the data by nnU-Net's rules: plan_training.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.plan_training import PlanTrainingConfig, run, summary
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(PlanTrainingConfig, run, summary))
