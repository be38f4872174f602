"""Keep the cases whose pseudo labels change least over iterations: stable_cases.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.pseudo_labels.outputs import summary
from LiverMRISegLib.pseudo_labels.stable_cases import StableCasesConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(StableCasesConfig, run, lambda config, ranked: summary(ranked, config.output)))
