"""The command line as a page, from its own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from parsers import section

from LiverMRISegLib.anatomy import LABEL_SETS, ORGANS, Sequence
from LiverMRISegLib.cli import build_parser
from LiverMRISegLib.io.tables import markdown_table


def page(parser: argparse.ArgumentParser | None = None) -> str:
    """Every command: what it does, how it is called, its arguments."""
    return "\n\n".join(_section(leaf, text) for leaf, text in _leaves(parser or build_parser(), ""))


def organs() -> str:
    """The organs that have a name here, with their codes."""
    rows = [
        (f"`{o.name}`", f"{o.type_code.value} {o.type_code.meaning}", o.side.meaning if o.side else "") for o in ORGANS
    ]
    return markdown_table(("organ", "SNOMED CT", "side"), rows)


def label_sets() -> str:
    """The names that `evaluate --labels` knows, with what the values mean."""
    rows = [
        (f"`{name}`", ", ".join(f"{value} {organ.name}" for value, organ in labels.items()))
        for name, labels in LABEL_SETS.items()
    ]
    return markdown_table(("name", "values"), rows)


def sequences() -> str:
    """The names of the sequences, in a line."""
    return ", ".join(f"`{sequence.value}`" for sequence in Sequence)


def _leaves(parser: argparse.ArgumentParser, text: str) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """The parsers that run something, each with its line of help."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser, text
    for group in groups:
        lines = {choice.dest: choice.help or "" for choice in group._choices_actions}
        for name, child in group.choices.items():
            yield from _leaves(child, lines.get(name, ""))


def _section(parser: argparse.ArgumentParser, text: str) -> str:
    return section(parser, parser.prog, parser.description or f"{text[:1].upper()}{text[1:]}.")
