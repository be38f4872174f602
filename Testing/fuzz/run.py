"""`make fuzz`: many damaged inputs of every kind. Ends with status 1 if one of them was not refused or read rightly."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.runner import outcomes
from fuzz.targets import TARGETS


def main() -> int:
    """Run `--count` inputs of every target from `--first`; prints a line for every fault, and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="inputs of each kind (default: 500)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--targets", nargs="*", choices=list(TARGETS), default=list(TARGETS), help="kinds of input")
    parser.add_argument("--verbose", action="store_true", help="print every outcome")
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {name: Counter() for name in options.targets}
    faults = 0
    numbers = range(options.first, options.first + options.count)
    for outcome in outcomes((name, number) for name in options.targets for number in numbers):
        counts[outcome.target]["wrong" if outcome.fault else outcome.what] += 1
        faults += bool(outcome.fault)
        if outcome.fault or options.verbose:
            print(outcome, flush=True)
    for name, count in counts.items():
        print(f"{name:12} " + ", ".join(f"{number} {what}" for what, number in sorted(count.items())))
    print(f"{sum(map(Counter.total, counts.values()))} inputs, {faults} wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
