"""Images made from label maps (domain randomisation): anatomy, look, scanner."""
