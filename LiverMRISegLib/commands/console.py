"""The output of the subcommands: results on stdout, progress on stderr if it is a terminal, tables as plain text."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from LiverMRISegLib.io.streams import write_result


def say(text: str = "") -> None:
    """Write one or more lines of results to stdout."""
    write_result(text + "\n")


def say_json(document: Any) -> None:
    """Write one JSON document to stdout."""
    is_unicode = "utf" in (sys.stdout.encoding or "utf-8").lower()
    say(json.dumps(document, indent=2, ensure_ascii=not is_unicode, default=_plain))


def note(text: str) -> None:
    """Write one line for the user to stderr."""
    sys.stderr.write(f"livermriseg: {' '.join(text.split())}\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with columns aligned by spaces and numbers to the right."""
    lines = [[printable(cell) for cell in line] for line in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    right = [bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every subcommand."""
    parser.add_argument(
        "--verbose", action="store_true", help="print more messages to stderr, and the traceback of an error"
    )


class ProgressBar:
    """A progress bar on stderr if that is a terminal, else nothing. Call it as `progress(text, fraction)`."""

    def __init__(self, enabled: bool | None = None) -> None:
        from tqdm import tqdm

        shown = sys.stderr.isatty() if enabled is None else enabled
        layout = "{desc} |{bar:30}| {percentage:3.0f} % [{elapsed}]"
        self._bar = tqdm(total=1.0, disable=not shown, file=sys.stderr, leave=False, bar_format=layout)
        self.prefix = ""

    def __call__(self, text: str, fraction: float) -> None:
        """Show `text` and how much is done (0 to 1)."""
        self._bar.set_description_str(f"{self.prefix}{text}", refresh=False)
        self._bar.n = min(max(fraction, 0.0), 1.0)
        self._bar.refresh()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def _plain(value: Any) -> Any:
    """numpy scalars, mappings and paths as plain values for JSON."""
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "items"):
        return dict(value.items())
    return str(value)


def printable(text: str) -> str:
    """`text` in one line that a terminal can show: names of files may have line breaks, and bytes that are not text."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True


def comma_separated(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]
