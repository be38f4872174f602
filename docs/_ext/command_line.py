"""The command line as a page, from its own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from LiverMRISegLib.anatomy import LABEL_SETS, ORGANS, Sequence
from LiverMRISegLib.cli import build_parser
from LiverMRISegLib.io.tables import markdown_table

_HELP = "help"


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
    about = parser.description or f"{text[:1].upper()}{text[1:]}."
    table = markdown_table(("argument", "meaning"), [_row(a) for a in parser._actions if a.dest != _HELP])
    return f"## {parser.prog}\n\n{about}\n\n```text\n{_usage(parser)}\n```\n\n{table}"


def _usage(parser: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=100)
    formatter.add_usage(
        parser.usage, [a for a in parser._actions if a.dest != _HELP], parser._mutually_exclusive_groups
    )
    return formatter.format_help().removeprefix("usage: ").strip()


def _row(action: argparse.Action) -> tuple[str, str]:
    names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = ""
    if action.option_strings and action.nargs != 0:
        value = " " + (str(action.metavar) if action.metavar else "|".join(map(str, action.choices or ())))
    meaning = action.help or ""
    if action.option_strings and action.required:
        meaning += " (required)"
    return f"`{_in_cell(names + value)}`", _in_cell(meaning)


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")
