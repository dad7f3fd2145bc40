"""Reads manifest blocks and trusts nothing: a block was sealed by a holder of the keyring, who may be hostile.

What one entry says is judged here; what entries say together, in manifest_join.py and manifest_walk.py.
"""

from typing import Any

from tools.client.manifest import (
    ENTRY_EXTENTS_MAX,
    INNER_ROWS_MAX,
    LEAF_CHUNKS_MAX,
    LEVEL_MAX,
    VERSION,
    Entry,
    Extent,
    Inner,
    Leaf,
    Row,
    check_path,
    sort_key,
)
from tools.client.manifest_extras import decode_extras
from tools.client.record_format import PLAIN_BYTES_MAX, Buffer, IntegrityError, RecordType
from tools.client.strict_msgpack import check_version, counted, elements, sized, typed, unpack_array

_CHUNK_BYTES_MAX = PLAIN_BYTES_MAX[RecordType.DATA]
_KIND_MAX = 255
_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1
_TIME_MAX = 2**63 - 1


def decode_block(plaintext: Buffer) -> Leaf | Inner:
    """A manifest block; IntegrityError that names what is wrong with it."""
    array = unpack_array(plaintext, "manifest block")
    check_version(array, VERSION, "manifest block")
    if len(array) < 4:
        raise IntegrityError(f"a manifest block has {len(array)} elements")
    level = counted(array[1], 0, LEVEL_MAX, "level")
    companion = sized(array[2], 32, "companion")
    if level:
        return _decode_inner(level, companion, elements(array, 4, "inner block")[3])
    chunks, entries = elements(array, 5, "leaf block")[3:]
    return _decode_leaf(companion, chunks, entries)


def _decode_leaf(companion: bytes, packed_chunks: Any, raw_entries: Any) -> Leaf:
    typed(packed_chunks, bytes, "chunks")
    if len(packed_chunks) % 32 or len(packed_chunks) > 32 * LEAF_CHUNKS_MAX:
        raise IntegrityError(f"the leaf's chunks have {len(packed_chunks)} bytes")
    chunks = tuple(packed_chunks[i : i + 32] for i in range(0, len(packed_chunks), 32))
    if any(a >= b for a, b in zip(chunks, chunks[1:], strict=False)):
        raise IntegrityError("the leaf's chunks are not ascending")
    entries = tuple(_decode_entry(raw, chunks) for raw in typed(raw_entries, list, "entries"))
    keys = [sort_key(entry.path) for entry in entries]
    for i in range(1, len(entries)):
        if keys[i - 1] > keys[i]:
            raise IntegrityError(f"the leaf's entries are out of order at {entries[i].path!r}")
    return Leaf(companion, chunks, entries)


def _decode_inner(level: int, companion: bytes, raw_rows: Any) -> Inner:
    rows = tuple(_decode_row(raw) for raw in typed(raw_rows, list, "rows"))
    if not 1 <= len(rows) <= INNER_ROWS_MAX:
        raise IntegrityError(f"an inner block has {len(rows)} rows")
    for before, after in zip(rows, rows[1:], strict=False):
        # A file that continues may end one block and begin the next.
        if sort_key(before.last) > sort_key(after.first):
            raise IntegrityError(f"the inner block's rows are out of order at {after.first!r}")
    return Inner(level, companion, rows)


def _decode_row(raw: Any) -> Row:
    first, last, block, companion, entries, content_bytes = elements(raw, 6, "row")
    if sort_key(typed(first, bytes, "first path")) > sort_key(typed(last, bytes, "last path")):
        raise IntegrityError(f"a row begins at {first!r}, after its end")
    return Row(
        first, last, sized(block, 32, "block"), sized(companion, 32, "companion"),
        counted(entries, 0, _U64_MAX, "entries below"), counted(content_bytes, 0, _U64_MAX, "bytes below"),
    )  # fmt: skip


def _decode_entry(raw: Any, chunks: tuple[bytes, ...]) -> Entry:
    if type(raw) is not list or len(raw) not in (11, 12):
        raise IntegrityError("an entry is not an array of 11 or 12 elements")
    path, kind, mode, uid, gid, user, group, mtime_ns, size, hash, extents = raw[:11]
    try:
        check_path(typed(path, bytes, "path"))
    except ValueError as error:
        raise IntegrityError(str(error)) from None
    counted(kind, 1, _KIND_MAX, "kind")
    counted(mode, 0, 0o7777, "mode")
    counted(uid, 0, _U32_MAX, "uid")
    counted(gid, 0, _U32_MAX, "gid")
    counted(mtime_ns, -_TIME_MAX - 1, _TIME_MAX, "mtime")
    counted(size, 0, _TIME_MAX, "size")
    if type(user) not in (str, type(None)) or type(group) not in (str, type(None)):
        raise IntegrityError(f"user or group of {path!r} is neither text nor nil")
    if hash is not None:
        sized(hash, 32, "hash")
    extras, has_unknown = decode_extras(raw[11], kind, size) if len(raw) == 12 else (None, False)
    return Entry(
        path, kind, mode, uid, gid, user, group, mtime_ns, size, hash, _decode_extents(extents, chunks), extras,
        has_unknown,
    )  # fmt: skip


def _decode_extents(flat: Any, chunks: tuple[bytes, ...]) -> tuple[Extent, ...]:
    if type(flat) is not list or len(flat) % 3 or len(flat) > 3 * ENTRY_EXTENTS_MAX:
        raise IntegrityError("an entry's extents are not triples, or are too many")
    extents = []
    for i in range(0, len(flat), 3):
        ordinal = counted(flat[i], 0, len(chunks) - 1, "an extent's chunk")
        offset = counted(flat[i + 1], 0, _CHUNK_BYTES_MAX, "an extent's offset")
        length = counted(flat[i + 2], 1, _CHUNK_BYTES_MAX - offset, "an extent's length")
        extents.append((chunks[ordinal], offset, length))
    return tuple(extents)
