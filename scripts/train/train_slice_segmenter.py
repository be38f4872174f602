"""Train the 2D segmenter of CT slices that organ attention needs: train_slice_segmenter.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_training
from LiverMRISegLib.translation.slice_segmenter import SliceSegmenterConfig, run

if __name__ == "__main__":
    sys.exit(run_training(SliceSegmenterConfig, run))
