"""Measurement: volumes and lengths of organs, statistics of maps in them, agreement of label maps."""
