"""Read every volume of datalists and name those that cannot be used: check_data.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.data.check_data import CheckDataConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(CheckDataConfig, run, lambda _, count: f"all {count} volumes can be used"))
