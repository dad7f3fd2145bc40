"""A whole backup and restore on one machine, with the shipped programs and real files."""
