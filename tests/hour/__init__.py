"""An hour of collections without a pause under agents that back up changing data: `python -m tests.hour`."""
