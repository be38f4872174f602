"""Learn from labelled and unlabelled volumes by a mean teacher: mean_teacher.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.mean_teacher import MeanTeacherStageConfig, run_mean_teacher

if __name__ == "__main__":
    sys.exit(run_training(MeanTeacherStageConfig, run_mean_teacher))
