"""Power cuts and kills by the thousand: `make torture SEEDS=N KILLS=N`."""
