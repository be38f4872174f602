"""Join the folds of a cross-validation into one model package: join_models.py --config CONFIG."""

from __future__ import annotations

import sys

from LiverMRISegLib.training.join_models import JoinModelsConfig, run
from LiverMRISegLib.training.script import run_script

if __name__ == "__main__":
    sys.exit(
        run_script(JoinModelsConfig, run, lambda config, path: f"{path}: written from {len(config.models)} models")
    )
