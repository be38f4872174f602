"""Slicer's base classes for scripted modules, or bare ones where only slicer-core is there (scripts, tests)."""

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
        """Stands for the application's class, which is not there."""

        def __init__(self, parent: Any = None) -> None:
            self.parent = parent

    class ScriptedLoadableModuleLogic:  # type: ignore[no-redef]
        """Stands for the application's class, which is not there."""

    class ScriptedLoadableModuleTest:  # type: ignore[no-redef]
        """Stands for the application's class, which is not there."""

    class ScriptedLoadableModuleWidget:  # type: ignore[no-redef]
        """Stands for the application's class, which is not there."""

    class VTKObservationMixin:  # type: ignore[no-redef]
        """Stands for the application's class, which is not there."""


try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        """The text as it is: translations come with the application."""
        return text


def is_in_application() -> bool:
    """Whether this runs in the application, not in a plain Python with slicer-core."""
    import slicer

    return getattr(slicer, "app", None) is not None


def when_started(action: Callable[[], None]) -> None:
    """Do something once the application has started; nothing where there is no application."""
    import slicer

    if is_in_application():
        slicer.app.connect("startupCompleted()", action)


__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
    "VTKObservationMixin",
    "is_in_application",
    "tr",
    "when_started",
]
