"""Pieces of content between file and record, and which of them a path is made of."""
