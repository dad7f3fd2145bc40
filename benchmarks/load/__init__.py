"""Parts of the load harness `benchmarks/fleet.py`: its agents, their data, and what is read of a vault meanwhile."""
