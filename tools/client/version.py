"""The version of the programs, as they tell it to a vault; the same as in pyproject.toml."""

PROGRAM_VERSION = "0.1.0"
