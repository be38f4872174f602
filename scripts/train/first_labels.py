"""Label volumes by likeness to one template's organs (SemiSAM-O1, stage 1): first_labels.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(FirstLabelsConfig, run, lambda config, made: f"the labels are listed in {made}"))
