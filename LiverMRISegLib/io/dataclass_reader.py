"""From plain data (YAML, JSON) to frozen dataclasses and back, strictly: for configs, model.json and datalists.

A field's type says what it may hold: numbers (within `Limits`, if annotated so), text, paths, literals, lists as
tuples, mappings, and other dataclasses. Whatever does not fit is an error that names the file and the key.
"""

from __future__ import annotations

import collections.abc
import contextlib
import contextvars
import dataclasses
import difflib
import functools
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from LiverMRISegLib.errors import LiverMRISegError, UsageError
from LiverMRISegLib.io.limits import Limits

T = TypeVar("T")
Converters = Mapping[Any, Callable[[Any], Any]]
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_MAPPINGS = (dict, collections.abc.Mapping)
_SEQUENCES = (list, collections.abc.Sequence)
_IS_CHECKING: contextvars.ContextVar[bool] = contextvars.ContextVar("is_checking", default=True)


def read_dataclass(
    cls: type[T],
    data: Any,
    where: str,
    error: type[LiverMRISegError] = UsageError,
    converters: Converters = types.MappingProxyType({}),
) -> T:
    """A `cls` with the values of the mapping `data`; keys it does not have keep the class's defaults.

    Args:
        cls: a dataclass; a nested one keeps the defaults that its parent gives it.
        data: mappings, lists, numbers, text, None.
        where: the file, for messages.
        error: what is raised.
        converters: for fields of these types, how plain data becomes one; a ValueError of theirs is told with the key.

    Raises:
        error: a key is unknown, missing, of another type or out of its limits.
        LiverMRISegError: what a dataclass itself raises when it is made, with `where` in front.
    """
    made: T = _Reader(where, error, converters).dataclass(cls, data, "", None)
    return made


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and paths as the dicts, lists and strings that YAML and JSON know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


@functools.cache
def field_types(cls: Any) -> dict[str, Any]:
    """The type of every field that a dataclass takes, with what `Annotated` adds to it."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def shown(value: Any) -> str:
    """A value for messages, however large it is: cut, and on one line."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 2, 60, 60, 30
    try:
        return " ".join(short.repr(value).split())
    except ValueError:  # whole numbers of thousands of digits cannot be written out
        return "a number that is too large to show"


class Checked:
    """Base of dataclasses whose values are checked whenever one is made, in Python too; UsageError names the field."""

    def __post_init__(self) -> None:
        if _IS_CHECKING.get():
            reader = _Reader(type(self).__name__, UsageError, {})
            cls: Any = type(self)
            for name, kind in field_types(cls).items():
                value = getattr(self, name)
                if not isinstance(value, Checked):  # that one was checked when it was made
                    reader.convert(kind, to_plain(value), name)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Within, `Checked` dataclasses are made without a check: for who checks them afterwards, with the whole key."""
    token = _IS_CHECKING.set(False)
    try:
        yield
    finally:
        _IS_CHECKING.reset(token)


class _Reader:
    """One reading: what it is called in messages, what it raises, and how foreign types are made."""

    def __init__(self, where: str, error: type[LiverMRISegError], converters: Converters) -> None:
        self.where, self.error, self.converters = where, error, converters

    def fail(self, words: str) -> LiverMRISegError:
        """The error to raise, which names the file."""
        return self.error(f"{self.where}: {words}")

    def dataclass(self, cls: Any, data: Any, key: str, default: Any) -> Any:
        """A `cls` at `key` ("" is the whole file); keys without a value take that of `default`, if there is one."""
        if not isinstance(data, Mapping):
            raise self.fail(f"{key or 'its content'} must be a mapping, not {shown(data)}")
        kinds = field_types(cls)
        self._check_keys(cls, data, key, default)
        values = {}
        for name, kind in kinds.items():
            own_default = getattr(default, name) if default is not None else _default_of(cls, name)
            if name in data:
                values[name] = self.convert(kind, data[name], _under(key, name), own_default)
            elif default is not None:
                values[name] = own_default
        try:
            return cls(**values)
        except LiverMRISegError as error:
            raise type(error)(f"{self.where}: {error}") from error

    def _check_keys(self, cls: Any, data: Mapping[Any, Any], key: str, default: Any) -> None:
        names = list(field_types(cls))
        for found in data:
            if found not in names:
                near = difflib.get_close_matches(str(found), names, n=1)
                hint = f"; did you mean '{_under(key, near[0])}'?" if near else f"; known are: {', '.join(names)}"
                name = _under(key, found if isinstance(found, str) else shown(found))
                raise self.fail(f"unknown key '{name}'{hint}")
        for name in names:
            if name not in data and default is None and _is_required(cls, name):
                raise self.fail(f"the key '{_under(key, name)}' is missing")

    def convert(self, kind: Any, value: Any, key: str, default: Any = None) -> Any:
        """`value` as the type `kind` says."""
        limits: Sequence[Limits] = ()
        if typing.get_origin(kind) is typing.Annotated:
            kind, *extras = typing.get_args(kind)
            limits = [extra for extra in extras if isinstance(extra, Limits)]
        converted = self._converted(kind, value, key, default)
        for limit in limits:
            if not limit.hold(converted):
                raise self.fail(f"{key} must be {limit}, not {shown(value)}")
        return converted

    def _converted(self, kind: Any, value: Any, key: str, default: Any) -> Any:
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if kind in self.converters:
            try:
                return self.converters[kind](value)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise self.fail(f"{key}: {error}") from error
        if kind is Any:
            return value
        if origin in (typing.Union, types.UnionType):
            return None if value is None else self.convert(inner[0], value, key, default)
        if origin is typing.Literal:
            if value not in inner or isinstance(value, bool):
                raise self.fail(f"{key} must be one of {', '.join(map(str, inner))}, not {shown(value)}")
            return value
        if dataclasses.is_dataclass(kind):
            return self.dataclass(kind, value, key, default)
        if origin is tuple:
            return self._tuple(inner, value, key)
        if origin in _SEQUENCES:
            return list(self._tuple((inner[0], ...), value, key))
        if (origin or kind) in _MAPPINGS:
            return self._mapping(inner or (str, Any), value, key)
        return self._plain(kind, value, key)

    def _tuple(self, inner: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
        is_open = inner[-1] is Ellipsis
        if not isinstance(value, (list, tuple)) or (not is_open and len(value) != len(inner)):
            raise self.fail(f"{key} must be a list{'' if is_open else f' of {len(inner)}'}, not {shown(value)}")
        kinds = [inner[0]] * len(value) if is_open else inner
        entries = enumerate(zip(kinds, value, strict=True))
        return tuple(self.convert(kind, entry, f"{key}[{number}]") for number, (kind, entry) in entries)

    def _mapping(self, inner: tuple[Any, ...], value: Any, key: str) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise self.fail(f"{key} must be a mapping, not {shown(value)}")
        return {self._name(inner[0], k, key): self.convert(inner[1], v, f"{key}.{k}") for k, v in value.items()}

    def _name(self, kind: Any, name: Any, key: str) -> Any:
        """A mapping's own key; JSON knows only text there, where we may mean whole numbers."""
        try:
            return int(name) if kind is int else self._plain(kind, name, key)
        except (ValueError, TypeError) as error:
            raise self.fail(f"the keys of {key} must be whole numbers, not {shown(name)}") from error

    def _plain(self, kind: Any, value: Any, key: str) -> Any:
        if kind is Path and isinstance(value, (str, int)) and not isinstance(value, bool):
            return Path(self._plain(str, str(value), key))
        accepted = (int, float) if kind is float else (kind,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            quotes = "; put it in quotes" if kind is str and isinstance(value, (int, float)) else ""
            raise self.fail(f"{key} must be {_KINDS.get(kind, 'a path')}, not {shown(value)}{quotes}")
        if isinstance(value, str) and "\0" in value:
            raise self.fail(f"{key} contains a character of value 0")
        return value if isinstance(value, str) or kind is not float else self._finite(value, key)

    def _finite(self, value: float, key: str) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.fail(f"{key} must be a finite number, not {shown(value)}")
        return number


def _under(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _is_required(cls: Any, name: str) -> bool:
    field = cls.__dataclass_fields__[name]
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default_of(cls: Any, name: str) -> Any:
    """The value that a new `cls` would have there, of which a nested mapping may replace a part; else None."""
    factory = cls.__dataclass_fields__[name].default_factory
    return factory() if factory is not dataclasses.MISSING else None
