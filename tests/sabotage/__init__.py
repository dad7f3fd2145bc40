"""Breaks one promise at a time in a copy of the project and expects the named test to notice."""
