"""The command line as a real process."""

from __future__ import annotations

import os
import subprocess
import sys

from helpers.places import ROOT


def command(*arguments):
    return [sys.executable, "-m", "LiverMRISegLib", *map(str, arguments)]


def run(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, check=False, **options)


def names(folder):
    return sorted(p.name for p in folder.iterdir())
