"""How long `livermriseg --help` takes, against an empty Python process on the same machine."""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 15
AIM_SECONDS = 0.5


def seconds_of(command: list[str]) -> float:
    """Median wall time of a command over the repeats, first run (cold file cache) left out."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[REPEATS // 2]


def main() -> None:
    """Measure and print; the last line holds the ratio."""
    empty = seconds_of([sys.executable, "-c", "pass"])
    helped = seconds_of([sys.executable, "-m", "LiverMRISegLib", "--help"])
    print(f"empty Python process   {empty:.3f} s")
    print(f"livermriseg --help     {helped:.3f} s   (aim: under {AIM_SECONDS} s)")
    print(f"RATIO help_time: --help takes {helped / empty:.1f} times an empty process, {helped:.3f} s")


if __name__ == "__main__":
    main()
