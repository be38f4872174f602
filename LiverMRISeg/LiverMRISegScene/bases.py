"""Slicer's base classes for scripted modules, or empty ones where there is only slicer-core (scripts, tests)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from slicer.ScriptedLoadableModule import (
        ScriptedLoadableModule,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
        ScriptedLoadableModuleWidget,
    )
    from slicer.util import VTKObservationMixin
except ImportError:

    class ScriptedLoadableModule:  # type: ignore[no-redef]
        """In place of the application's class."""

        def __init__(self, parent: Any = None) -> None:
            self.parent = parent

    class ScriptedLoadableModuleLogic:  # type: ignore[no-redef]
        """In place of the application's class."""

    class ScriptedLoadableModuleTest:  # type: ignore[no-redef]
        """In place of the application's class."""

    class ScriptedLoadableModuleWidget:  # type: ignore[no-redef]
        """In place of the application's class."""

    class VTKObservationMixin:  # type: ignore[no-redef]
        """In place of the application's class."""


try:
    from slicer.i18n import tr, translate
except ImportError:

    def tr(text: str) -> str:
        """The text itself: translations come with the application."""
        return text

    def translate(_context: str, text: str) -> str:
        """As `tr`."""
        return text


def is_in_application() -> bool:
    """Whether this runs in the application, not in a plain Python with slicer-core."""
    import slicer

    return getattr(slicer, "app", None) is not None


def when_started(action: Callable[[], None]) -> None:
    """Do something once the application has started; without an application do nothing."""
    import slicer

    if is_in_application():
        slicer.app.connect("startupCompleted()", action)


def with_node(action: Callable[[Any], None]) -> Callable[..., None]:
    """An observer for events of a scene about one of its nodes, which gets that node."""
    import vtk

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def observe(_caller: Any, _event: str, node: Any) -> None:
        """Called by VTK."""
        action(node)

    return observe


__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
    "VTKObservationMixin",
    "is_in_application",
    "tr",
    "translate",
    "when_started",
    "with_node",
]
