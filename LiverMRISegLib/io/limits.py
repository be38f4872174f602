"""What a number in a config or file may be: said in the field's type, checked by `dataclass_reader`.

`Share = Annotated[float, Limits(0, 1)]`, and then `foreground: Share = 0.33` in a dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Limits:
    """The allowed range of a number: `least` and `most` belong to it, `above` and `below` do not."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether `value` is within the range; NaN never is."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """For messages: "between 0 and 1", "at least 1", "above 0 and below 1"."""
        if self.least is not None and self.most is not None:
            return f"between {self.least} and {self.most}"
        words = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        return " and ".join(f"{word} {bound}" for word, bound in words if bound is not None)


Share = Annotated[float, Limits(0, 1)]
Probability = Annotated[float, Limits(0, 1)]
NotNegative = Annotated[float, Limits(least=0)]
Count = Annotated[int, Limits(1, 1_000_000_000)]
Seed = Annotated[int, Limits(0, 2**32 - 1)]
Millimetres = Annotated[float, Limits(0, 10_000)]
# Finer than any scanner, coarser than any organ: beyond that it is a slip of the pen, or of the unit.
Spacing = Annotated[float, Limits(0.1, 100)]
PatchSide = Annotated[int, Limits(1, 1024)]
Axis = Annotated[int, Limits(0, 2)]
