"""What runs a network: PyTorch or OpenVINO, behind one Protocol."""
