"""One config style: a frozen dataclass that is the YAML file, the command-line flags and the Python argument.

`--config FILE` is read first, and flags override it. Every field has a docstring, which is the flag's help. What does
not fit (an unknown key, another type, a number out of its limits) is an error that names the file and the key.
A mapping in a file, and the file itself, may name another file as its `base`: that file's keys hold where the mapping
has none of its own.
"""

from __future__ import annotations

import dataclasses
import typing
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.io.dataclass_reader import field_types, read_dataclass, to_plain, unchecked
from LiverMRISegLib.io.file_names import resolved

T = TypeVar("T")
_MOST_BYTES = 1_000_000
_MOST_VALUES = 100_000
_DEEPEST = 50


class MayChange(Enum):
    """In a field's type: when its value may differ from that which a run was started with. Without it: never."""

    ALWAYS = "it changes nothing that is learnt"
    IN_ONE_TRAINING = "its length, and what only the package at its end depends on; not between rounds of training"
    UNTIL_THE_END = "what an error of the loop advises, or a longer training needs; a finished run never"


def config_from_arguments(cls: type[T], arguments: Sequence[str]) -> T:
    """The config that `[--config FILE] [--key value ...]` describes. tyro answers --help and wrong flags (exit 2)."""
    import tyro

    rest = [word for argument in arguments for word in _words_of(argument)]
    default: T | None = None
    if "--config" in rest:
        at = rest.index("--config")
        if at + 1 == len(rest):
            raise UsageError("--config needs a file")
        default = read_config(cls, Path(rest[at + 1]))
        del rest[at : at + 2]
    with unchecked():
        config: T = tyro.cli(cls, args=rest) if default is None else tyro.cli(cls, args=rest, default=default)
    check_config(config)
    return config


def _words_of(argument: str) -> list[str]:
    """--config=FILE as two words; tyro knows the other flags in both forms."""
    return argument.split("=", 1) if argument.startswith("--config=") else [argument]


def read_config(cls: type[T], path: Path) -> T:
    """Read a YAML file into dataclass `cls`; UsageError names the file and the key that does not fit."""
    return read_dataclass(cls, _read_mapping(path, ()), str(path))


def config_of_run(cls: type[T], folder: Path, script: str) -> T:
    """The config that `script` left in its run folder; ModelError if `folder` is not one of its run folders."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise ModelError(f"{folder}: is not a run folder of {script}: config.yaml is missing; run {script} first")
    try:
        return read_config(cls, path)
    except UsageError as error:
        raise ModelError(f"{folder}: is not a run folder of {script}, or of another version of it ({error})") from error


def read_settings(path: Path) -> dict[str, Any]:
    """The keys of a YAML file with its bases filled in; UsageError if it cannot be read."""
    return _read_mapping(path, ())


def check_config(config: Any) -> None:
    """UsageError unless every value is of its field's type and within its limits, as `read_config` would ask for."""
    read_dataclass(type(config), to_plain(config), "the config")


def write_config(config: Any, path: Path) -> None:
    """Write a dataclass as YAML that `read_config` reads back to an equal one."""
    import yaml

    from LiverMRISegLib.io.atomic import atomic_write_text

    atomic_write_text(path, yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True))


def check_same_run(config: Any, path: Path, may_change: Collection[MayChange]) -> None:
    """UsageError if `path` holds another training's config: one that differs in a key that may not change.

    Args:
        config: as it is now.
        path: the config of the run as it was started.
        may_change: which of the marked keys may.
    """
    if not path.exists():
        return
    free = {key for key, when in _changeable(type(config)) if when in may_change}
    before, now = _flat(to_plain(read_config(type(config), path))), _flat(to_plain(config))
    for key in sorted(set(before) | set(now)):
        if key not in free and before.get(key) != now.get(key):
            raise UsageError(
                f"{path.parent}: contains a training with {key} {before.get(key)!r}, not {now.get(key)!r}; "
                "choose another --run-folder or remove that folder"
            )


def _changeable(cls: Any, prefix: str = "") -> Iterator[tuple[str, MayChange]]:
    """The keys of a config, nested ones too, that are marked `MayChange`."""
    for name, kind in field_types(cls).items():
        if typing.get_origin(kind) is typing.Annotated:
            kind, *extras = typing.get_args(kind)
            yield from ((prefix + name, extra) for extra in extras if isinstance(extra, MayChange))
        if dataclasses.is_dataclass(kind):
            yield from _changeable(kind, f"{prefix}{name}.")


def _flat(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in plain.items():
        found.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def _read_mapping(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A file's mapping with its bases filled in; `above` are the files that it is a base of."""
    where = f"{path} (a base of {above[-1]})" if above else str(path)
    if len(above) > _DEEPEST:
        raise UsageError(f"{where}: {_DEEPEST} bases on top of each other are too many")
    try:
        if resolved(path) in above:
            raise UsageError(f"{path}: is a base of itself; remove its `base`, or that of the files between")
        data = _parsed(path, where)
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a path with a character of value 0
        raise UsageError(f"{where}: cannot be read ({_one_line(error)})") from error
    if not isinstance(data, dict):
        raise UsageError(f"{where}: must be a mapping of config keys")
    return _with_bases(data, path, (*above, resolved(path)))


def _parsed(path: Path, where: str) -> Any:
    """What the YAML says, bounded: neither endless files nor a few lines that unfold to a billion values."""
    import yaml

    if path.exists() and not path.is_file():
        raise UsageError(f"{where}: is not a file")
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{where}: is larger than {_MOST_BYTES // 1_000_000} MB, so it cannot be a config")
    try:
        data = yaml.load(content.decode("utf-8"), _bounded_loader())
        _check_size(data, where)
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: is not UTF-8 text; save it with that encoding") from error
    except RecursionError as error:
        raise UsageError(f"{where}: its lists or mappings are nested too deeply") from error
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # the latter: dates and numbers like !!int a
        raise UsageError(f"{where}: cannot be read as YAML ({_one_line(error)})") from error
    return data


def _bounded_loader() -> Any:
    """YAML's safe loader: no key is there twice, and merged mappings (`<<`) do not unfold without bound.

    Each of these may merge others twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            """As YAML says; a key that is there twice is an error, not the last one's value."""
            node: yaml.MappingNode = super().compose_mapping_node(anchor)
            counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            twice = [key for key, count in counts.items() if count > 1 and key != "<<"]
            if twice:
                raise yaml.YAMLError(f"the key {twice[0]!r} is there twice")
            return node

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            """Merge as YAML says, after counting what that gives."""
            count = 0
            for key, value in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        if isinstance(merged, yaml.MappingNode):
                            self.flatten_mapping(merged)
                            count += len(merged.value)
            if count > _MOST_VALUES:
                raise yaml.YAMLError(f"its merged mappings (<<) unfold to more than {_MOST_VALUES} values")
            super().flatten_mapping(node)

    return Loader


def _check_size(data: Any, where: str) -> None:
    """UsageError where anchors make the data contain itself, or unfold to more values than a config has."""
    pending, count = [(data, 0)], 0
    while pending:
        value, depth = pending.pop()
        count += 1
        if depth > _DEEPEST or count > _MOST_VALUES:
            raise UsageError(
                f"{where}: is nested too deeply or has too many values (a config has at most {_DEEPEST} levels and "
                f"{_MOST_VALUES} values); write values out instead of using YAML anchors"
            )
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()
        pending.extend((each, depth + 1) for each in inner)


def _one_line(error: Exception) -> str:
    """The error's text on one line, as messages are."""
    return " ".join(str(error).split())


def _with_bases(data: dict[str, Any], path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    own = {k: _with_bases(v, path, above) if isinstance(v, dict) else v for k, v in data.items() if k != "base"}
    if "base" not in data:
        return own
    if not isinstance(data["base"], str) or not data["base"].isprintable():
        raise UsageError(f"{path}: base must be the path of a file")
    return _merged(_read_mapping(path.parent / data["base"], above), own)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Both mappings in one, key by key down to the last level; where both have a value it is that of `own`."""
    merged = dict(base)
    for key, value in own.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
