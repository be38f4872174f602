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


def when_started(action: Callable[[], None]) -> None:
    """Do something once the application has started; nothing where there is no application."""
    import slicer

    application = getattr(slicer, "app", None)
    if application is not None:
        application.connect("startupCompleted()", action)


__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
    "VTKObservationMixin",
    "tr",
    "when_started",
]
