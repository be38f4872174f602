"""Translate labelled CT into an MR sequence: translate.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.script import run_script
from LiverMRISegLib.translation.translate import TranslateConfig, run

if __name__ == "__main__":
    sys.exit(run_script(TranslateConfig, run, lambda config, made: f"{len(made)} volumes in {config.output}"))
