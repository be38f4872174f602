"""`make bench`: every benchmark in a process of its own; the ratios once more at the end."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

from common import machine

NNUNET = Path(__file__).resolve().parents[2] / ".venv-nnunet"
BENCHMARKS = (
    "help_time",
    "patch_engines",
    "network_sizes",
    "segment_command",
    "peak_memory",
    "sample_speed",
    "training_speed",
    "instance_norm",
    "host_memory",
    "panel_freeze",
    "cohort_with_bad_files",
)
# These take half an hour, and nnU-Net.
AGAINST_NNUNET = ("nnunet_speed",)


def main() -> int:
    """Run those named on the command line, or all; the exit status is 1 if one failed."""
    chosen = sys.argv[1:] or [*BENCHMARKS, *(AGAINST_NNUNET if NNUNET.exists() else ())]
    print(f"{datetime.datetime.now(tz=datetime.timezone.utc):%Y-%m-%d}, {machine()}")
    ratios, worst = [], 0
    for name in chosen:
        print(f"\n== {name}", flush=True)
        script = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout.rstrip(), flush=True)
        ratios += [line for line in done.stdout.splitlines() if line.startswith("RATIO")]
        if done.returncode:
            ratios.append(f"FAILED {name}: exit status {done.returncode}")
            worst = 1
    if not sys.argv[1:] and not NNUNET.exists():
        print(f"\nnot run without nnU-Net (make bench-nnunet): {', '.join(AGAINST_NNUNET)}")
    print("\n" + "\n".join(ratios))
    return worst


if __name__ == "__main__":
    sys.exit(main())
