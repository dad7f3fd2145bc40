"""What an entry of the kind `drop` says: the ids of a keyring's records that are not there any more, and where each lay
(docs/format.md#journal). Pure.
"""

from collections.abc import Iterable, Iterator
from struct import Struct as Layout

from vaultd.store.errors import NewerFormat
from vaultd.store.index_rows import Dropped

_ROW = Layout("<32sQI")


def pack_dropped(dropped: Iterable[Dropped]) -> bytes:
    return b"".join(_ROW.pack(one.id, one.container, one.offset) for one in dropped)


def unpack_dropped(keyring_id: bytes, records: bytes) -> Iterator[Dropped]:
    if len(records) % _ROW.size:
        raise NewerFormat(f"a drop of records in {len(records)} bytes")
    for id_, container, offset in _ROW.iter_unpack(records):
        yield Dropped(keyring_id, id_, container, offset)
