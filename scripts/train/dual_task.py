"""Learn from labelled and unlabelled volumes by dual-task consistency: dual_task.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.dual_task import DualTaskStageConfig, run_dual_task

if __name__ == "__main__":
    sys.exit(run_training(DualTaskStageConfig, run_dual_task))
