"""One-label training (paper 002, SemiSAM-O1)."""
