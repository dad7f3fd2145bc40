"""A link of a given length and rate between programs of one machine."""
