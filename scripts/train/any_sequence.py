"""Train the default model from label maps: any_sequence.py --config scripts/train/configs/any_sequence.yaml."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.any_sequence import AnySequenceConfig, run
from LiverMRISegLib.training.script import run_training

if __name__ == "__main__":
    sys.exit(run_training(AnySequenceConfig, run))
