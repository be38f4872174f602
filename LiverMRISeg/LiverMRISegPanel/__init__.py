"""The panel's parts: each binds some widgets of LiverMRISeg.ui. Only here qt, ctk and slicer.app are used."""
