"""A row of the index's table `records` (docs/format.md#index): the keyring's number and the id, and where the record
lies, under a checksum over both.
"""

import struct

from vaultd.image.rows import close_row, open_row
from vaultd.store.index_rows import IndexRecord, Location

CID_PREFIX_BYTES = 16
_NUMBER = struct.Struct(">I")
_VALUE = struct.Struct("<QIIBB2sI16s")
_NO_BYTES = bytes(2)
_FLAGS_AT = 17
_DAMAGED = 1  # the only flag


def encode_row(key: bytes, record: IndexRecord, key_number: int) -> bytes:
    _, _, _, container, offset, length, kind, cid = record
    body = _VALUE.pack(container, offset, length, kind, 0, _NO_BYTES, key_number, cid[:CID_PREFIX_BYTES])
    return close_row(key, body)


def decode_row(key: bytes, value: bytes) -> Location | None:
    """None where the row is damaged."""
    body = open_row(key, value)
    if body is None or len(body) != _VALUE.size:
        return None
    container, offset, length, kind, flags, _, key_number, cid_prefix = _VALUE.unpack(body)
    (keyring_number,) = _NUMBER.unpack_from(key)
    return Location(keyring_number, container, offset, length, kind, bool(flags & _DAMAGED), key_number, cid_prefix)


def is_row_whole(key: bytes, value: bytes) -> bool:
    """Whether it decodes to a record that is not flagged, without decoding it: offers ask it for each id."""
    body = open_row(key, value)
    return body is not None and len(body) == _VALUE.size and not body[_FLAGS_AT] & _DAMAGED


def flag_damaged(key: bytes, value: bytes) -> bytes:
    """The value of a row that decodes, with the flag set."""
    body = bytearray(open_row(key, value) or b"")
    body[_FLAGS_AT] |= _DAMAGED
    return close_row(key, bytes(body))
