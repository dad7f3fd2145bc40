"""Reaching the vault: one session, what ends it, and when it counts as lost."""
