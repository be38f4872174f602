"""Checkpoints of others, converted once into model packages."""
