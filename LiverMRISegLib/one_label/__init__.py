"""Training from one labelled volume (paper 002, SemiSAM-O1)."""
