"""The daemon as a whole and the two offline commands on its directory: everything that knows all parts."""
