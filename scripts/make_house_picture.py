"""Draw the floors of the core from its imports: docs/concepts/pictures/house.svg.

Rooms stand on the floors that Testing/test_floors.py checks. Arrows are the imports between rooms as the sources have
them; an arrow that follows from others is left out.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

from LiverMRISegLib.io.atomic import atomic_write_text

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "LiverMRISegLib"
PICTURE = ROOT / "docs" / "concepts" / "pictures" / "house.svg"
_GROUND = "the ground floor"
_FACES = ("commands", "cli", "__main__", "__init__")
_WIDTH, _ROOM, _HEIGHT, _GAP, _MARGIN = 940, 270, 74, 34, 70

Graph = dict[str, set[str]]


def floors() -> list[tuple[str, ...]]:
    """Names of the rooms from the ground up, the modules of the ground floor as one, the faces left out."""
    tree = ast.parse((ROOT / "Testing" / "test_floors.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS":
            rows: tuple[tuple[str, ...], ...] = ast.literal_eval(node.value)
            return [(_GROUND,), *(row for row in rows[1:] if not set(row) & set(_FACES)), ("faces",)]
    raise SystemExit("Testing/test_floors.py holds no FLOORS")


def room_of(module: str, ground: frozenset[str]) -> str:
    """The room of a dotted module name."""
    part = module.split(".")[1] if "." in module else "__init__"
    return "faces" if part in _FACES else _GROUND if part in ground else part


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of the package that a source imports, for type checking too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(PACKAGE))


def graph() -> Graph:
    """Which room needs which."""
    ground = frozenset(p.stem for p in (ROOT / PACKAGE).glob("*.py")) - set(_FACES)
    needs: Graph = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        room = room_of(name.removesuffix(".__init__"), ground)
        for target in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if (other := room_of(target, ground)) != room:
                needs.setdefault(room, set()).add(other)
    return needs


def reduced(needs: Graph) -> Graph:
    """Without arrows that lead where a longer way leads as well."""

    def reached(room: str) -> set[str]:
        """The room itself and all below it."""
        return {room} | {far for near in needs.get(room, ()) for far in reached(near)}

    return {
        room: {t for t in targets if not any(t in reached(o) for o in targets - {t})} for room, targets in needs.items()
    }


def words(room: str) -> str:
    """What a room is for: the first line of its package."""
    if room == _GROUND:
        return ", ".join(sorted(p.stem for p in (ROOT / PACKAGE).glob("*.py") if p.stem not in _FACES))
    if room == "faces":
        return "the command livermriseg and its subcommands; beside them the Slicer panel and the training scripts"
    line = ast.get_docstring(ast.parse((ROOT / PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    return line.partition("\n")[0].rstrip(".")


def places(rows: list[tuple[str, ...]]) -> dict[str, tuple[float, float, float]]:
    """Left edge, top edge and width of every room, the ground floor at the bottom."""
    found: dict[str, tuple[float, float, float]] = {}
    for number, row in enumerate(reversed(rows)):
        wide = _WIDTH - 2 * _MARGIN if len(row) == 1 and row[0] in (_GROUND, "faces") else _ROOM
        left = _WIDTH / 2 - (len(row) * wide + (len(row) - 1) * _GAP) / 2
        for place, room in enumerate(row):
            found[room] = (left + place * (wide + _GAP), 20 + number * (_HEIGHT + _GAP), wide)
    return found


def picture() -> str:
    """The SVG; SystemExit for an import that goes up."""
    rows, needs = floors(), graph()
    level = {room: number for number, row in enumerate(rows) for room in row}
    up = [f"{room} -> {t}" for room, targets in needs.items() for t in targets if level[t] >= level[room]]
    if up:
        raise SystemExit(f"imports that go up: {', '.join(up)}")
    where = places(rows)
    height = 20 + len(rows) * (_HEIGHT + _GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#8a6d3b"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for room, targets in sorted(reduced(needs).items()):
        lines += [arrow(where[room], where[target]) for target in sorted(targets)]
    for number, row in enumerate(rows):
        top = where[row[0]][1]
        lines.append(f'<text x="14" y="{top + _HEIGHT / 2 + 5}" font-size="15" fill="#888">{number}</text>')
        lines += [box(room, where[room]) for room in row]
    return "\n".join([*lines, "</svg>", ""])


def arrow(upper: tuple[float, float, float], lower: tuple[float, float, float]) -> str:
    """From the bottom of a room to the top of one below, at the sides of what stands between."""
    x1, y1, x2, y2 = upper[0] + upper[2] / 2, upper[1] + _HEIGHT, lower[0] + lower[2] / 2, lower[1]
    if lower[2] > _ROOM:
        x2 = min(max(x1, lower[0] + 40), lower[0] + lower[2] - 40)
    if y2 - y1 > _GAP + 1:  # past other floors
        is_right = (x1 + x2) / 2 > _WIDTH / 2
        side = _WIDTH - _MARGIN / 2 if is_right else _MARGIN / 2 + 12
        x1 += (0.3 if is_right else -0.3) * upper[2]
        x2 += (0.3 if is_right else -0.3) * min(lower[2], _ROOM)
        bend = f"C {side:.0f} {y1 + 20:.0f} {side:.0f} {y2 - 20:.0f} {x2:.0f} {y2:.0f}"
    else:
        bend = f"L {x2:.0f} {y2:.0f}"
    path = f"M {x1:.0f} {y1:.0f} {bend}"
    return f'<path d="{path}" fill="none" stroke="#8a6d3b" stroke-width="1.4" marker-end="url(#tip)"/>'


def box(room: str, place: tuple[float, float, float]) -> str:
    """A room with its name and what it is for."""
    left, top, width = place
    text = textwrap.wrap(words(room), round(width / 6.8))[:3]
    name = room if room in (_GROUND, "faces") else f"{room}/"
    parts = [
        f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{_HEIGHT}" rx="5"'
        ' fill="#f6f1e7" stroke="#8a6d3b"/>',
        f'<text x="{left + 10:.0f}" y="{top + 20}" font-size="15" font-weight="bold" fill="#222">{name}</text>',
    ]
    parts += [
        f'<text x="{left + 10:.0f}" y="{top + 37 + 14 * n}" font-size="11.5" fill="#444">{escape(line)}</text>'
        for n, line in enumerate(text)
    ]
    return "\n".join(parts)


def main() -> None:
    """Write the picture."""
    atomic_write_text(PICTURE, picture())


if __name__ == "__main__":
    main()
