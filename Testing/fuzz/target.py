"""What can be fuzzed. A new reader gets a class with these methods, listed in `fuzz.targets.TARGETS`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Target(Protocol):
    """A kind of input and what reads it."""

    name: str

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """Write a damaged input into the empty `folder`, by `random` alone; returns what is to be read."""

    def read(self, path: Path) -> Any:
        """What the library makes of it. Raises an error of the library for one that it refuses."""

    def fault(self, path: Path, found: Any) -> str:
        """What is wrong with `found`, an accepted input; "" if nothing is. Run after `read` was reported."""
