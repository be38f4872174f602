"""The training loop, once, and one file a method."""
