"""A row's value with the checksum over key and value that ends it."""

from vaultd.checksum import CHECKSUM_BYTES, checksum


def close_row(key: bytes, body: bytes) -> bytes:
    return body + checksum(key + body)


def open_row(key: bytes, value: bytes) -> bytes | None:
    """The value without its checksum; None where that does not hold."""
    body = value[:-CHECKSUM_BYTES]
    return body if checksum(key + body) == value[-CHECKSUM_BYTES:] else None
