"""The house: who may import whom in LiverMRISegLib, read from the sources without importing them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.places import ROOT

PACKAGE = "LiverMRISegLib"
HOUSE = ROOT / "docs/concepts/house.md"
# From the ground up, as the documentation draws it: a module imports from floors below its own and from its own room.
# The ground floor's modules may import one another: among them only circles are forbidden.
FLOORS = (
    ("anatomy", "errors", "volume", "version", "resources", "extras", "sequence_names", "pictures"),
    ("io", "networks"),
    ("models",),
    ("preparation", "measurement"),
    ("inference", "phantom", "synthesis"),
    ("data",),
    ("evaluation",),
    ("training",),
    ("pseudo_labels",),
    ("translation", "one_label", "adaptation"),
    ("commands",),
    ("cli",),
    ("__main__", "__init__"),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
CHECKOUT_ONLY = ("Testing", "scripts")


class Import(NamedTuple):
    """`source` (its file at `line`) needs the module `target`."""

    source: str
    place: str
    target: str


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name; a package is its `__init__`."""
    return {".".join(p.relative_to(root).with_suffix("").parts): p for p in sorted((root / PACKAGE).rglob("*.py"))}


def names_in(node: ast.AST, package: list[str]) -> Iterator[str]:
    """The dotted names that one node imports; `package` is where relative imports start."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*start, *filter(None, [node.module])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        # What import_module or a child process is given: a dependency as well.
        yield node.value


def imports_of(root: Path) -> list[Import]:
    """All imports between modules of the package: at the top, in functions, for type checking, by name."""
    modules, found = modules_of(root), []
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in names_in(node, name.split(".")[:-1]):
                module = module_named(target, modules, in_text=isinstance(node, ast.Constant))
                if module and module != name:
                    found.append(Import(name, f"{path.relative_to(root).as_posix()}:{node.lineno}", module))
    return found


def module_named(target: str, modules: dict[str, Path], *, in_text: bool) -> str | None:
    """The module that an imported name means: itself, a package, or where the name is defined."""
    if not target.startswith(PACKAGE) or (in_text and target == PACKAGE):
        return None
    tried = [target] if in_text else [target, target.rpartition(".")[0]]
    return next((name for t in tried for name in (t, f"{t}.__init__") if name in modules), None)


def room_of(module: str) -> str:
    return module.split(".")[1]


def is_upward(found: Import) -> bool:
    source, target = room_of(found.source), room_of(found.target)
    if source == target:
        return False
    here, there = FLOOR_OF[source], FLOOR_OF[target]
    return there > here or (there == here > 0)


def circles(found: list[Import]) -> list[list[str]]:
    """Groups of modules that reach one another."""
    edges: dict[str, set[str]] = {}
    for i in found:
        edges.setdefault(i.source, set()).add(i.target)

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            new = edges.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reach = {name: reached(name) for name in edges}
    groups = {tuple(sorted({name} | {o for o in reach[name] if name in reach.get(o, ())})) for name in edges}
    return sorted(list(group) for group in groups if len(group) > 1)


def checkout_paths(root: Path) -> list[str]:
    """Places where a module names a path that an installation does not have."""
    found = []
    for path in modules_of(root).values():
        text, place = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        found += [
            f"{place}:{n}: {m[0]}" for n, t in enumerate(text.splitlines(), 1) for m in re.finditer(r"\.\./\w*", t)
        ]
        for node in ast.walk(ast.parse(text)):
            value = getattr(node, "value", None)
            if isinstance(node, ast.Constant) and isinstance(value, str) and value.split("/")[0] in CHECKOUT_ONLY:
                found += [f"{place}:{node.lineno}: {value}"] if (ROOT / value).exists() else []
    return found


def test_every_module_has_a_floor():
    assert {room_of(name) for name in modules_of(ROOT)} == set(FLOOR_OF)


def test_the_documentation_draws_the_same_floors():
    drawn: dict[int, set[str]] = {}
    for floor, rooms in re.findall(r"^\| (\d+) \| (.+?) \|", HOUSE.read_text(encoding="utf-8"), re.MULTILINE):
        drawn.setdefault(int(floor), set()).update(re.findall(r"`(\w+)/?`", rooms))
    faces = {"commands", "cli", "__main__", "__init__"}
    assert list(drawn.values()) == [set(rooms) for rooms in FLOORS if not faces & set(rooms)]


@pytest.fixture(scope="module")
def imports():
    return imports_of(ROOT)


def test_no_import_goes_up_or_sideways(imports):
    assert len(imports) > 300
    assert [f"{i.place} imports {i.target}" for i in imports if is_upward(i)] == []


def test_no_imports_go_round_in_a_circle(imports):
    assert circles(imports) == []


def test_no_module_names_a_path_of_the_checkout():
    assert checkout_paths(ROOT) == []


@pytest.fixture
def house(tmp_path):
    """A small package whose files a test writes: `house("io/read.py", text)`."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    for room in ("io", "training", "networks"):
        write(f"{room}/__init__.py", "")
    write("__init__.py", "")
    write("training/loop.py", "LOOP = 1\n")
    return write


@pytest.mark.parametrize(
    "text",
    [
        "from LiverMRISegLib.training.loop import LOOP",
        "from LiverMRISegLib.training import loop",
        "from LiverMRISegLib import training",
        "import LiverMRISegLib.training.loop",
        "from ..training import loop",
        "from ..training.loop import LOOP",
        "def read():\n    from LiverMRISegLib.training import loop",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from LiverMRISegLib.training.loop import LOOP",
        "import importlib\nloop = importlib.import_module('LiverMRISegLib.training.loop')",
        "from LiverMRISegLib.networks import shapes",
    ],
)
def test_a_wrong_import_is_seen_wherever_it_is(house, text):
    root = house("io/read.py", text + "\n")
    (wrong,) = [i for i in imports_of(root) if is_upward(i)]
    assert wrong.place == f"LiverMRISegLib/io/read.py:{len(text.splitlines())}"


def test_right_imports_are_not_called_wrong(house):
    house("io/read.py", "from LiverMRISegLib.errors import InputError\nfrom LiverMRISegLib.io import write\n")
    house("io/write.py", "NAME = 'LiverMRISegLib'\n")
    house("errors.py", "from LiverMRISegLib.version import NUMBER\n")
    root = house("version.py", "NUMBER = 1\n")
    assert {i.target for i in imports_of(root)} == {f"{PACKAGE}.{m}" for m in ("errors", "io.write", "version")}
    assert not any(is_upward(i) for i in imports_of(root))
    assert circles(imports_of(root)) == []


def test_a_circle_is_seen(house):
    house("io/read.py", "from LiverMRISegLib.io import write\n")
    house("io/write.py", "from LiverMRISegLib.io.tables import rows\n")
    root = house("io/tables.py", "def rows():\n    from LiverMRISegLib.io import read\n")
    assert circles(imports_of(root)) == [[f"{PACKAGE}.io.{name}" for name in ("read", "tables", "write")]]


def test_a_path_of_the_checkout_is_seen(house):
    house("io/read.py", "DATA = '../shared/data'\n")
    house("io/tables.py", "BUNDLE = 'scripts/transforms.py'\n")
    root = house("io/write.py", "HELP = 'Testing/README.md'\nSCRIPT = 'scripts/train'\n")
    assert [line.split(": ")[1] for line in checkout_paths(root)][:1] == ["../shared"]
    assert "LiverMRISegLib/io/write.py:2: scripts/train" in checkout_paths(root)
    assert not any("transforms" in line for line in checkout_paths(root))
