"""Scenarios in which this product and its peers do the same in turn."""
