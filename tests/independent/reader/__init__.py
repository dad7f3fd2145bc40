"""A stopped vault's directory, opened offline, from docs/format.md alone."""
