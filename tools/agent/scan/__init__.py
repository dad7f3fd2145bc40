"""From the disk to batches: the walk, the comparison with the cache, the reading of what is new."""
