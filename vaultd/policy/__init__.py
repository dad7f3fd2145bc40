"""Decisions: pure functions that get facts and the time, and change nothing."""
