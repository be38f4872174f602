"""What runs a network: one Protocol, and an engine for torch and for OpenVINO."""
