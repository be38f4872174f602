"""The training stages, a file a script."""
