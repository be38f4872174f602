"""Bidirectional copy-paste (BCP) on labelled and unlabelled volumes: bidirectional_copy_paste.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig, run_bidirectional_copy_paste

if __name__ == "__main__":
    sys.exit(run_training(CopyPasteStageConfig, run_bidirectional_copy_paste))
