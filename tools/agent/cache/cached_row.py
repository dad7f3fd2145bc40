"""One row of the cache: a path, what says that it is as it was, and its entry in parts."""

import struct
import zlib
from typing import NamedTuple

HASH_BYTES = 32
_HASH_NUMBER = struct.Struct("<q")
_PART_NUMBER = struct.Struct("<I")


class CachedRow(NamedTuple):
    """`prefix` and `extras` are the entry's msgpack; `extents` are id, offset and length of each, packed. Of a large
    file they are the first part, and `further` parts are in rows of their own, numbered from 1."""

    key: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    prefix: bytes
    extents: bytes
    further: int
    extras: bytes | None
    checksum: int

    def is_whole(self) -> bool:
        try:
            return self.checksum == row_checksum(self.key, self.prefix, self.extents, self.extras, self.further)
        except (TypeError, struct.error):
            return False

    @property
    def content_hash(self) -> bytes:
        """Of a path that has extents."""
        return self.prefix[-HASH_BYTES:]


KnownPath = tuple[bytes, int, int, int, int]
"""Key, size, mtime_ns, ctime_ns and inode of a row, without what costs time to read."""


def row_checksum(key: bytes, prefix: bytes, extents: bytes, extras: bytes | None, further: int) -> int:
    crc32 = zlib.crc32
    checksum = crc32(extents, crc32(prefix, crc32(key)))
    if further:
        checksum = crc32(_PART_NUMBER.pack(further), checksum)
    return checksum if extras is None else crc32(extras, checksum)


def part_checksum(key: bytes, number: int, extents: bytes) -> int:
    return zlib.crc32(extents, zlib.crc32(_PART_NUMBER.pack(number), zlib.crc32(key)))


def hash_number(hash: bytes) -> int:
    """By which the cache finds a content."""
    number: int = _HASH_NUMBER.unpack_from(hash)[0]
    return number
