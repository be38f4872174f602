"""Connects the MRML scene and the core. Uses no qt, ctk, slicer.app or slicer.modules, so it runs under slicer-core."""
