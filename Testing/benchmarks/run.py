"""`make bench`: every benchmark in a process of its own; the ratios once more at the end."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

from common import machine

BENCHMARKS = (
    "help_time",
    "patch_engines",
    "network_sizes",
    "segment_command",
    "peak_memory",
    "sample_speed",
    "training_speed",
    "panel_freeze",
)


def main() -> int:
    """Run those named on the command line, or all; the exit status is 1 if one failed."""
    chosen = sys.argv[1:] or BENCHMARKS
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
    print("\n" + "\n".join(ratios))
    return worst


if __name__ == "__main__":
    sys.exit(main())
