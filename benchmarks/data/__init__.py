"""Data to back up, made from a seed."""
