"""Tables as text: CSV for files, Markdown for cards, reports and documents."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_table(header: Sequence[object], rows: Iterable[Sequence[object]], separator: str = ",") -> str:
    """A line per row below the header, each ending in a line feed; cells are quoted where they need it."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A line per row below the header, ending in a line break."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
