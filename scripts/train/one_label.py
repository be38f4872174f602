"""Learn from one labelled template and unlabelled volumes (SemiSAM-O1): one_label.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.one_label.rounds import OneLabelConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(OneLabelConfig, run, lambda config, rounds: f"{len(rounds)} rounds in {config.run_folder}"))
