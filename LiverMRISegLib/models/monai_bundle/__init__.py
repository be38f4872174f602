"""A model package written as a MONAI bundle."""
