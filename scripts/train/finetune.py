"""Train on labelled volumes, on synthetic images or on both: python scripts/train/finetune.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.finetune import FinetuneConfig, run

if __name__ == "__main__":
    sys.exit(run_training(FinetuneConfig, run))
