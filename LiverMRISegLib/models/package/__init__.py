"""The model package: the one thing that training exports and inference loads."""
