"""Train the default model from label maps: any_sequence.py --config scripts/train/configs/any_sequence.yaml."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.any_sequence import AnySequenceConfig, run

if __name__ == "__main__":
    sys.exit(run_training(AnySequenceConfig, run))
