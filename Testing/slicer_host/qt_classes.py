"""The module `qt` as PythonQt shows it, over PySide6: properties are attributes, signals are connected by signature.

Every QObject class gets one Python subclass; value classes (QColor, QIcon, QTableWidgetItem ...) have no properties
and stay PySide's own.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtWidgets

from slicer_host.problems import PROBLEMS, guarded

# Virtual in C++: a Python property of that name would be called by Qt itself.
_VIRTUAL = {"QProgressBar": ("text",), "QWidget": ("sizeHint", "minimumSizeHint"), "QLayout": ("spacing",)}
_STRICT = (str, int, float)
# Not empty while a .ui file is loaded: PySide's loader then puts every child on the top widget as an attribute.
LOADING: list[str] = []


class QtMeta(type(QtCore.QObject)):  # type: ignore[misc]
    """`isinstance(x, qt.QWidget)` holds for widgets that Qt made itself, too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, cls.__dict__["_base"])
            if "_base" in cls.__dict__
            else super().__instancecheck__(instance)
        )


class PythonQtObject:
    """What every class of the host adds to PySide's."""

    # Signatures with VTK types, and the PySide signals that stand for them.
    _signals: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """PySide looks `connect` up in an instance's own class only."""
        super().__init_subclass__(**options)
        for name in ("connect", "disconnect"):
            if name not in cls.__dict__:
                setattr(cls, name, getattr(PythonQtObject, name))

    def connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        """Connect by signature; an unknown one is noted and False returned, as PythonQt does."""
        signal, arguments = self._resolved(signature)
        if signal is None:
            PROBLEMS.unknown_signals.append(f"{type(self).__name__}: {signature}")
            return False
        # Looking takes long, so not at signals that come again and again, after which nothing is dropped.
        is_watched = isinstance(self, QtCore.QProcess) and not signature.startswith("readyRead")
        wrapper = guarded(slot, arguments, self if is_watched else None, f"{type(self).__name__}: {signature}")
        self._connections().setdefault(signature, []).append((slot, wrapper))
        signal.connect(wrapper)
        return True

    def disconnect(self, signature: str, slot: Callable[..., Any]) -> bool:
        """Undo `connect`."""
        signal, _ = self._resolved(signature)
        known = self._connections().get(signature, [])
        for pair in known:
            if pair[0] == slot and signal is not None:
                signal.disconnect(pair[1])
                known.remove(pair)
                return True
        return False

    def className(self) -> str:  # noqa: N802
        """Name of the C++ class."""
        return type(self).__name__

    def _connections(self) -> dict[str, list[tuple[Any, Any]]]:
        return self.__dict__.setdefault("_host_connections", {})

    def _resolved(self, signature: str) -> tuple[Any, int]:
        """The bound signal of a signature and its number of arguments; (None, 0) if there is none."""
        arguments = signature[signature.index("(") + 1 : -1] if signature.endswith(")") else ""
        count = len(arguments.split(",")) if arguments else 0
        if signature in self._signals:
            return getattr(self, self._signals[signature]), count
        normalized = QtCore.QMetaObject.normalizedSignature(signature)
        if self.metaObject().indexOfSignal(normalized.data().decode()) < 0:  # type: ignore[attr-defined]
            return None, 0
        return getattr(super(), signature.split("(")[0]), count


class QtProperty(property):
    """A property of instances; the class still shows its own member of that name (QTimer.singleShot)."""

    on_class: Any = None

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None and self.on_class is not None:
            return self.on_class
        return super().__get__(instance, owner)


def property_of(base: type, name: str, kind: type | None) -> QtProperty:
    """A Python property on a Q_PROPERTY; strings and numbers must be given as such."""

    def read(self: Any) -> Any:
        return base.property(self, name)

    def write(self: Any, value: Any) -> None:
        if kind in _STRICT and not isinstance(value, (int, float) if kind is float else kind):
            raise ValueError(f"{type(self).__name__}.{name} must be {kind.__name__}, not {type(value).__name__}")
        base.setProperty(self, name, bool(value) if kind is bool else value)

    made = QtProperty(read, write)
    made.on_class = getattr(base, name, None)
    return made


def python_class(base: type, extra: dict[str, Any] | None = None) -> type:
    """The subclass of a PySide class that behaves as PythonQt's wrapper."""
    namespace: dict[str, Any] = {"_base": base, "__setattr__": _strict_setattr(base), **(extra or {})}
    meta = base.staticMetaObject  # type: ignore[attr-defined]
    skipped = {
        name for owner, names in _VIRTUAL.items() if issubclass(base, getattr(QtWidgets, owner)) for name in names
    }
    for index in range(meta.propertyCount()):
        entry = meta.property(index)
        is_attribute_already = isinstance(inspect.getattr_static(base, entry.name(), None), QtCore.Property)
        if entry.name() not in skipped and not is_attribute_already:
            namespace[entry.name()] = property_of(base, entry.name(), _KINDS.get(entry.typeName()))
    namespace["name"] = namespace["objectName"]
    return QtMeta(base.__name__, (PythonQtObject, base), namespace)


_KINDS: dict[str, type] = {"QString": str, "int": int, "double": float, "bool": bool}


def _strict_setattr(base: type) -> Callable[[Any, str, Any], None]:
    """Set an attribute as PythonQt does: on its own classes only properties; on subclasses of them anything."""

    def set_attribute(self: Any, name: str, value: Any) -> None:
        is_of_host = "_base" in type(self).__dict__ and not LOADING
        if is_of_host and not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no property '{name}'")
        base.__setattr__(self, name, value)

    return set_attribute


def make_qt_module() -> types.ModuleType:
    """All of QtCore, QtGui and QtWidgets under the name `qt`."""
    module = types.ModuleType("qt", "PythonQt's view of Qt, made by the host.")
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            value = getattr(source, name)
            is_object = isinstance(value, type) and issubclass(value, QtCore.QObject)
            if not name.startswith("_") and not hasattr(module, name):
                setattr(module, name, python_class(value) if is_object else value)
    _adapt(module)
    return module


def _adapt(module: Any) -> None:
    """Where PythonQt differs in more than properties."""

    class QFormLayout(module.QFormLayout):  # rows made with a text get a label of the host
        def addRow(self, *arguments: Any) -> None:  # noqa: N802
            first = module.QLabel(arguments[0]) if isinstance(arguments[0], str) else arguments[0]
            super().addRow(first, *arguments[1:])

    module.QFormLayout = QFormLayout
    for name in ("getOpenFileName", "getSaveFileName"):
        original = getattr(QtWidgets.QFileDialog, name)
        setattr(module.QFileDialog, name, staticmethod(lambda *a, original=original: original(*a)[0]))
    module.QFileDialog.getExistingDirectory = staticmethod(QtWidgets.QFileDialog.getExistingDirectory)
