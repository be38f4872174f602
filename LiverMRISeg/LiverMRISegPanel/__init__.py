"""The parts of the panel; each uses some widgets of LiverMRISeg.ui. Only this folder uses qt, ctk and slicer.app."""
