"""The short checksum of headers and rows, which the catalog's rows carry too (`vaultd/checksum.py`)."""

from vaultd.checksum import CHECKSUM_BYTES, checksum

__all__ = ["CHECKSUM_BYTES", "checksum"]
