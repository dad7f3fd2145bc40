"""The short checksum that headers and rows carry: the first 8 bytes of BLAKE3."""

from blake3 import blake3

CHECKSUM_BYTES = 8


def checksum(data: bytes | bytearray | memoryview) -> bytes:
    return blake3(data).digest(length=CHECKSUM_BYTES)
