"""`python -m LiverMRISegLib` is the command `livermriseg`."""

from __future__ import annotations

import sys

from LiverMRISegLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
