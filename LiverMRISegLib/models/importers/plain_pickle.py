"""Pickles of plain data, read without running any code in them: numbers, text, containers, numpy's arrays."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import ModelError

_MOST_BYTES = 256 * 1024**2
_KINDS = "biufSU"  # of numpy's data types: numbers and text


def read_plain_pickle(path: Path) -> Any:
    """What a pickle holds, if it is plain data: Python's own numbers, text, lists, tuples and dicts. Arrays are lists.

    Raises:
        ModelError: no such file, a damaged one, one of more than 256 MiB, or one that contains anything else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if len(content) > _MOST_BYTES:
        raise ModelError(f"{path}: has more than 256 MiB; is it the file of nnU-Net's plans?")
    try:
        return _plain(_PlainUnpickler(io.BytesIO(content)).load())
    except _NotPlainError as error:
        raise ModelError(
            f"{path}: contains {error}, which could run code, and was not read; get the file from its authors"
        ) from error
    except MemoryError as error:
        raise ModelError(f"{path}: needs more memory than there is; is it damaged?") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ModelError(f"{path}: is damaged or no pickle ({type(error).__name__}); copy it again") from error


class _NotPlainError(Exception):
    """Something else than plain data; its text names it."""


class _PlainUnpickler(pickle.Unpickler):
    """Looks up nothing but the names of plain data."""

    def find_class(self, module: str, name: str) -> Any:
        """As `pickle.Unpickler.find_class`; numpy 1 and numpy 2 have different names for the same."""
        allowed = _ALLOWED.get(f"{module}.{name}".replace("numpy.core.", "numpy._core."))
        if allowed is None:
            raise _NotPlainError(f"{module}.{name}")
        return allowed


class _DataType:
    """Stands in for numpy's data type, whose own state could be anything."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def made(self) -> np.dtype[Any]:
        """The data type of numpy."""
        made: np.dtype[Any] = np.dtype(self.code)
        if made.kind not in _KINDS:
            raise _NotPlainError(f"numpy data of type {self.code}")
        return made.newbyteorder(">") if self.order == ">" else made


class _Array:
    """Stands in for numpy's array, which is made from its bytes."""

    def __init__(self, *_: Any) -> None:
        self.array = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, data_type, is_fortran, content = state
        self.array = np.frombuffer(content, data_type.made()).reshape(shape, order="F" if is_fortran else "C")


def _scalar(data_type: _DataType, content: bytes) -> Any:
    return np.frombuffer(content, data_type.made(), 1)[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 write bytes."""
    if encoding != "latin1":
        raise _NotPlainError(f"text in {encoding}")
    return text.encode("latin1")


_ALLOWED = {
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": _DataType,
    "numpy.ndarray": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": _latin1,
}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, _Array):
        return value.array.tolist()
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        return value
    raise _NotPlainError(type(value).__name__)
