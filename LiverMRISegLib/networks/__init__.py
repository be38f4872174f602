"""The networks of the papers, built by name from plain data."""
