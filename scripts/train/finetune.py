"""Fine-tune on labelled volumes: python scripts/train/finetune.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.finetune import FinetuneConfig, run
from LiverMRISegLib.training.script import run_training

if __name__ == "__main__":
    sys.exit(run_training(FinetuneConfig, run))
