"""CT to MR: CycleGAN, organ attention, anatomy space (papers 003 and 004)."""
