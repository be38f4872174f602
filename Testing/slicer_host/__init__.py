"""Runs a Slicer module's panel without the Slicer application: PySide6 in PythonQt's manners, on slicer-core's MRML."""

from slicer_host.host import Host, start

__all__ = ["Host", "start"]
