"""What tests share: places, volumes, packages, data sets, the panel."""
