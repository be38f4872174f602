"""What an argparse parser knows, as a section of a page."""

from __future__ import annotations

import argparse

from LiverMRISegLib.io.tables import markdown_table

_HELP = "help"


def section(parser: argparse.ArgumentParser, title: str, about: str) -> str:
    """Title, description, usage and a table of the arguments."""
    rows = [_row(action) for action in parser._actions if action.dest != _HELP]
    table = markdown_table(("argument", "meaning"), rows)
    return f"## {title}\n\n{about}\n\n```text\n{_usage(parser)}\n```\n\n{table}"


def _usage(parser: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=100)
    actions = [action for action in parser._actions if action.dest != _HELP]
    formatter.add_usage(parser.usage, actions, parser._mutually_exclusive_groups)
    return formatter.format_help().removeprefix("usage: ").strip()


def _row(action: argparse.Action) -> tuple[str, str]:
    names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = ""
    if action.option_strings and action.nargs != 0:
        value = " " + (str(action.metavar) if action.metavar else "|".join(map(str, action.choices or ())))
    meaning = action.help or ""
    if action.option_strings and action.required:
        meaning += " (required)"
    if not action.option_strings and action.choices:
        meaning += (": " if meaning else "one of ") + ", ".join(map(str, action.choices))
    return f"`{_in_cell(names + value)}`", _in_cell(meaning)


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")
