"""Label real MR by the networks of all folds and keep the cases they agree on: pseudo_label.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.pseudo_labels.outputs import summary
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(PseudoLabelConfig, run, lambda config, ranked: summary(ranked, config.written)))
