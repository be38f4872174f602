"""The training methods, a file each."""
