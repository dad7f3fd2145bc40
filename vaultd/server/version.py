"""The daemon's version as it tells it to operators; the same as in pyproject.toml."""

VAULTD_VERSION = "0.1.0"
