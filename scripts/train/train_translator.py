"""Train a translator from labelled CT to one MR sequence: train_translator.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.translation.train_translator import TranslatorConfig, run

if __name__ == "__main__":
    sys.exit(run_training(TranslatorConfig, run))
