"""The msgpack of an entry's first ten elements and of its extras, as a manifest writer takes them."""

from typing import Any

import msgpack

from tools.client.extras_parts import pack_extras
from tools.client.manifest import check_path

_HASH_HEAD = b"\xc4\x20"  # a byte string of 32 bytes
_NIL = b"\xc0"


def kind_of(path: bytes, prefix: bytes) -> int:
    """The kind in a prefix: it stands behind the path, whose header grows with its length."""
    size = len(path)
    return prefix[size + (2 if size < 1 << 8 else 3 if size < 1 << 16 else 5)]


class EntryPacker:
    """For one thread, because its packer keeps its buffer: making one for each path costs more than packing it."""

    def __init__(self) -> None:
        self._pack = msgpack.Packer(use_bin_type=True).pack

    def access(self, kind: int, mode: int, uid: int, gid: int, user: str | None, group: str | None) -> bytes:
        """Elements two to seven. Most paths of a tree share them, so callers keep the answer."""
        return b"".join(map(self._pack, (int(kind), mode, uid, gid, user, group)))

    def prefix(self, path: bytes, access: bytes, mtime_ns: int, size: int, hash: bytes | None) -> bytes:
        """The ten elements before `extents`, without an array header."""
        check_path(path)
        pack = self._pack
        packed: bytes = pack(path) + access + pack(mtime_ns) + pack(size)
        return packed + (_NIL if hash is None else _HASH_HEAD + hash)

    def extras(self, extras: dict[int, Any] | None) -> bytes | None:
        """Nothing where there are none, else what `extras_parts` takes apart."""
        return pack_extras(self._pack, extras) if extras else None
