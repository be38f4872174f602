"""Checkpoints of other projects, converted once into model packages."""
