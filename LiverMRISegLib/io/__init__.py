"""Read and write volumes and segmentations; every write is atomic."""
