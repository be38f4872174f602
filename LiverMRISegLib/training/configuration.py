"""One config style: a frozen dataclass that is the YAML file, the command-line flags and the Python argument.

`--config FILE` is read first, flags override it, and a key that the dataclass does not have is an error that
names the nearest one it has. A mapping in a file, and the file itself, may name another file as its `base`: that
file's keys hold where the mapping has none of its own.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from LiverMRISegLib.errors import UsageError

T = TypeVar("T")


def config_from_arguments(cls: type[T], arguments: Sequence[str]) -> T:
    """The config that `[--config FILE] [--key value ...]` describes. tyro answers --help and wrong flags (exit 2)."""
    import tyro

    rest = list(arguments)
    default: T | None = None
    if "--config" in rest:
        at = rest.index("--config")
        if at + 1 == len(rest):
            raise UsageError("--config needs a file")
        default = read_config(cls, Path(rest[at + 1]))
        del rest[at : at + 2]
    if default is None:
        return tyro.cli(cls, args=rest)
    return tyro.cli(cls, args=rest, default=default)


def read_config(cls: type[T], path: Path) -> T:
    """Read a YAML file into dataclass `cls`; UsageError names the file and the key that does not fit."""
    return _build(cls, _read_mapping(path, ()), str(path))


def write_config(config: Any, path: Path) -> None:
    """Write a dataclass as YAML that `read_config` reads back to an equal one."""
    import yaml

    from LiverMRISegLib.io.atomic import atomic_write_text

    atomic_write_text(path, yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True))


def check_same_run(config: Any, path: Path, free: Sequence[str]) -> None:
    """UsageError if `path` holds another training's config: one that differs in more than the keys named in `free`.

    Keys of nested configs are written "data.cache".
    """
    if not path.exists():
        return
    before, now = _flat(to_plain(read_config(type(config), path))), _flat(to_plain(config))
    for key in sorted(set(before) | set(now)):
        if key not in free and before.get(key) != now.get(key):
            raise UsageError(
                f"{path.parent}: holds a training with {key} {before.get(key)!r}, not {now.get(key)!r}; "
                "choose another --run-folder or remove that folder"
            )


def _flat(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in plain.items():
        found.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and paths as the dicts, lists and strings that YAML and JSON know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _read_mapping(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A file's mapping with its bases filled in; `above` are the files that it is a base of."""
    import yaml

    if path.resolve() in above:
        raise UsageError(f"{path}: is a base of itself; remove its `base`, or that of the files between")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        where = f" (a base of {above[-1]})" if above else ""
        raise UsageError(f"{path}: cannot be read as YAML{where} ({error})") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a mapping of config keys was expected")
    return _with_bases(data, path, (*above, path.resolve()))


def _with_bases(data: dict[str, Any], path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    own = {k: _with_bases(v, path, above) if isinstance(v, dict) else v for k, v in data.items() if k != "base"}
    return _merged(_read_mapping(path.parent / str(data["base"]), above), own) if "base" in data else own


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Both mappings in one, key by key down to the last level; where both have a value it is that of `own`."""
    merged = dict(base)
    for key, value in own.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _build(cls: Any, data: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    for key in data:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known are: {', '.join(names)}"
            raise UsageError(f"{where}: unknown key '{key}'{hint}")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UsageError(f"{where}: a mapping was expected, not {value!r}")
        return _build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            raise UsageError(f"{where}: a list of {len(inner)} was expected, not {value!r}")
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_convert(k, v, where) for k, v in zip(kinds, value, strict=True))
    if hint is Path:
        return Path(str(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (
        origin is None
        and isinstance(hint, type)
        and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool))
    ):
        raise UsageError(f"{where}: {hint.__name__} was expected, not {value!r}")
    return value
