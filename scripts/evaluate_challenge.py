"""Judge a model by FLARE's rules, its time and GPU memory too: evaluate_challenge.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.evaluation.challenge import ChallengeConfig, run, summary
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(ChallengeConfig, run, lambda config, judged: f"{config.output}\n{summary(judged)}"))
