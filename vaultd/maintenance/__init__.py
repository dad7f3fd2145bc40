"""The background shell: when a duty runs, and what is logged and measured about it."""
