"""A volume to the grid of a network and back."""
