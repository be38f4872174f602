"""Between the MRML scene and the core: no qt, ctk, slicer.app or slicer.modules, so that it runs under slicer-core."""
