"""Every field of every config has a docstring of its own, and `--help` of the scripts prints it."""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
import typing
from pathlib import Path

import pytest

from helpers.places import ROOT
from helpers.tiny_data import status_of_script_here
from LiverMRISegLib.io.dataclass_reader import Checked, field_types

OTHERS = [ROOT / "scripts" / name for name in ("check_data.py", "evaluate_challenge.py")]
SCRIPTS = [*sorted((ROOT / "scripts" / "train").glob("*.py")), *OTHERS]


def config_of(script: Path) -> type | None:
    """The config that a script hands to `run_training` or `run_script`; None of one that has none."""
    tree = ast.parse(script.read_text())
    homes = {a.name: n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("run_training", "run_script"):
            name = node.args[0].id
            return getattr(importlib.import_module(homes[name]), name)
    return None


CONFIGS = {script.name: config for script in SCRIPTS if (config := config_of(script)) is not None}


def dataclasses_in(kind) -> set[type]:
    """All dataclasses within a type, however deep."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return {found for inner in typing.get_args(kind) for found in dataclasses_in(inner)}
    return {kind, *(found for inner in field_types(kind).values() for found in dataclasses_in(inner))}


REACHABLE = sorted({kind for config in CONFIGS.values() for kind in dataclasses_in(config)}, key=lambda k: k.__name__)


def docstrings_of(kind: type) -> dict[str, str]:
    """The text below each field in the source of a class and of those it inherits from."""
    found = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
            for field, below in zip(body, [*body[1:], None], strict=True):
                if isinstance(field, ast.AnnAssign):
                    is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                    found[field.target.id] = inspect.cleandoc(below.value.value) if is_text else ""
    return found


def test_the_scripts_have_configs():
    assert {"finetune.py", "one_label.py", "train_translator.py", "evaluate_challenge.py"} <= set(CONFIGS)
    assert len(REACHABLE) > 25


@pytest.mark.parametrize("kind", REACHABLE, ids=lambda kind: kind.__name__)
def test_every_field_has_a_docstring_of_its_own(kind):
    assert [name for name, text in docstrings_of(kind).items() if not text.endswith((".", ").", '."'))] == []


@pytest.mark.parametrize("kind", REACHABLE, ids=lambda kind: kind.__name__)
def test_every_config_checks_its_values(kind):
    assert issubclass(kind, Checked)


@pytest.mark.parametrize("script", CONFIGS)
def test_help_prints_what_every_field_means(script, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")  # wider, and groups are printed beside each other
    place = next(path for path in SCRIPTS if path.name == script)
    assert status_of_script_here(["python", str(place), "--help"], monkeypatch) == 0
    printed = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    missing = [
        f"{kind.__name__}.{name}"
        for kind in fields_shown(CONFIGS[script])
        for name, text in docstrings_of(kind).items()
        if re.sub(r"\s+", " ", text) not in printed and not is_list_of_configs(field_types(kind)[name])
    ]
    assert missing == []


def is_list_of_configs(kind) -> bool:
    """Such as `sources`: these are given in the file alone."""
    return not isinstance(kind, type) and bool(dataclasses_in(kind))


def fields_shown(config: type) -> set[type]:
    """The configs whose fields are flags."""
    kinds = {config}
    for kind in field_types(config).values():
        if dataclasses.is_dataclass(kind):
            kinds |= fields_shown(kind)
    return kinds
