"""The scripts and their configs as pages: every field with its type, default and docstring."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import runpy
import textwrap
import types
import typing
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from parsers import section

from LiverMRISegLib.io.dataclass_reader import to_plain
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.training.configuration import MayChange

ROOT = Path(__file__).resolve().parents[2]
_RUNNERS = ("run_script", "run_training")


def scripts_page() -> str:
    """A section per script that has a config: what it does, its config file, its own fields."""
    return "\n\n".join(_script_section(path, cls) for path, cls in stage_scripts())


def import_page() -> str:
    """The section of `scripts/import_dataset.py`, from its own parser."""
    path = ROOT / "scripts" / "import_dataset.py"
    parser = runpy.run_path(str(path))["_parser"]()
    parser.prog = "python scripts/import_dataset.py"
    return section(parser, path.name, "Lists volumes for a training: see [](../how_to/own_data.md).")


def classes_page() -> str:
    """A section per class that configs are made of, each once."""
    found: dict[type, None] = {}
    for _, cls in stage_scripts():
        for part in _parts_of(cls):
            found.setdefault(part)
    return "\n\n".join(f"## {cls.__name__}\n\n{_about(cls)}\n\n{_table(cls)}" for cls in found)


@cache
def stage_scripts() -> tuple[tuple[Path, type], ...]:
    """Every script under scripts/ that reads a config, with the config's class."""
    found = []
    for path in sorted((ROOT / "scripts").rglob("*.py"), key=lambda p: (p.parent.name != "train", p.name)):
        cls = _config_of(ast.parse(path.read_text(encoding="utf-8")))
        if cls is not None:
            found.append((path, cls))
    return tuple(found)


def _config_of(tree: ast.Module) -> type | None:
    """The class that a script gives to `run_script` or `run_training`."""
    homes = {a.asname or a.name: n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    for node in ast.walk(tree):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if called in _RUNNERS and isinstance(node, ast.Call) and isinstance(node.args[0], ast.Name):
            name = node.args[0].id
            return getattr(import_module(str(homes[name])), name)
    return None


def _script_section(path: Path, cls: type) -> str:
    place = path.relative_to(ROOT).as_posix()
    about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split(": ")[0]
    return f"## {path.name}\n\n{about}. `{place}`, config `{cls.__name__}`.\n\n{_about(cls)}\n\n{_table(cls)}"


def _about(cls: type) -> str:
    return inspect.getdoc(cls) or ""


def _table(cls: type) -> str:
    """Rows of key, type, default and meaning."""
    hints, texts = typing.get_type_hints(cls, include_extras=True), field_docstrings(cls)
    rows = []
    for field in dataclasses.fields(cls):
        if field.init:
            text = texts.get(field.name, "") + _changes(hints[field.name])
            cells = (f"`{field.name}`", _type(hints[field.name]), _default(field), text)
            rows.append([cell.replace("|", "\\|").replace("\n", " ") for cell in cells])
    return markdown_table(("key", "type", "default", "meaning"), rows)


def _changes(hint: Any) -> str:
    """Whether a run that is resumed may have another value, in words."""
    marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
    names = [mark.name.lower().replace("_", " ") for mark in marks if isinstance(mark, MayChange)]
    return "".join(f" *May change: {name}.*" for name in names)


def field_docstrings(cls: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, those of its bases too."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assigned = ""
        for node in getattr(body, "body", []):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and assigned:
                found[assigned] = inspect.cleandoc(str(node.value.value))
            is_field = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            assigned = node.target.id if is_field else ""
    return found


def _parts_of(cls: type) -> Iterator[type]:
    """The dataclasses that the fields of `cls` are made of, at any depth."""
    for hint in typing.get_type_hints(cls).values():
        for part in _dataclasses_in(hint):
            yield part
            yield from _parts_of(part)


def _dataclasses_in(hint: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for inner in typing.get_args(hint):
        yield from _dataclasses_in(inner)


def _type(hint: Any) -> str:
    """A type in words of YAML, with its limits; dataclasses as links to their section."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        limits = [str(extra) for extra in inner[1:] if isinstance(extra, Limits)]
        return " ".join([_type(inner[0]), *limits])
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"[{hint.__name__}](config_classes.md#{hint.__name__.lower()})"
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join(_type(kind) for kind in inner)
    if typing.get_origin(hint) is tuple:
        same = [kind for kind in inner if kind is not Ellipsis]
        count = "list of " if Ellipsis in inner else f"{len(same)} x "
        return count + _type(same[0])
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(f"`{value}`" for value in inner)
    names = {
        str: "text",
        Path: "path",
        type(None): "nothing",
        int: "whole number",
        float: "number",
        bool: "true or false",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        if dataclasses.is_dataclass(value):
            return _changed(value)
    if value is dataclasses.MISSING:
        return "required"
    plain = to_plain(value)
    return "empty" if plain in ("", [], {}) else f"`{_yaml(plain)}`"


def _changed(value: Any) -> str:
    """What a part's default has otherwise than the part's own defaults."""
    try:
        usual = to_plain(type(value)())
    except TypeError:
        return ""
    changed = {key: item for key, item in to_plain(value).items() if usual[key] != item}
    return ", ".join(f"`{key}: {_yaml(item)}`" for key, item in changed.items())


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)
