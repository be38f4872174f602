"""Model packages: what training exports and inference loads."""
