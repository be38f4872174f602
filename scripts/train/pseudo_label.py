"""Label real MR by the networks of all folds and keep the cases they agree on: pseudo_label.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.adaptation.case_lists import summary
from LiverMRISegLib.adaptation.label_cases import LabelCasesConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(LabelCasesConfig, run, lambda config, ranked: summary(ranked, config.output)))
