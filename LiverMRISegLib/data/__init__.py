"""Datalists, phantoms, and training images made from label maps."""
