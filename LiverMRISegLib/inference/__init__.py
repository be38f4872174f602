"""From a volume to a segmentation on the same grid."""
