"""Rows of a safeset that the vault does not have, or not whole: what they say of files stays true, because their ids
are of the same id key. Whether the vault has what they name is asked for each id before any is used.

In one transaction of the cache: as long as it lasts, and where it is broken off, the cache stays of that safeset.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from tools.agent.cache.cache import Cache
from tools.agent.chunks.extent_list import unpack_extents
from tools.agent.hit_files import HitFiles
from tools.agent.upload.offer import find_missing
from tools.client.offload import compute
from tools.client.session import VaultSession

# Of one offer, about: those of a row of a large file are counted part by part.
_IDS_AT_ONCE = 8192

_Piece = tuple[bytes, bytes, list[bytes]]
"""A path, the hash of its content, and ids that it needs, all or some of them."""


async def offer_rows(session: VaultSession, run_id: bytes, cache: Cache, hit: HitFiles) -> None:
    """Before the run begins to scan and to write. A path of which anything is lost is read as if it were new, and added
    to `hit`; with a damaged cache everything is read.
    """
    try:
        await _offer_rows(session, run_id, cache, hit)
    except sqlite3.Error:
        await compute(cache.drop)


async def _offer_rows(session: VaultSession, run_id: bytes, cache: Cache, hit: HitFiles) -> None:
    await compute(cache.begin_forgetting)
    pieces = _pieces(cache)
    while part := await compute(_next, pieces):
        ids = list(dict.fromkeys(id for _, _, needed in part for id in needed))
        missing = await find_missing(session, run_id, ids)
        lost = {id for id, is_missing in zip(ids, missing, strict=True) if is_missing}
        lacking = [(key, content_hash) for key, content_hash, needed in part if not lost.isdisjoint(needed)]
        for key, content_hash in lacking:
            hit.add(key, content_hash)
        await compute(cache.forget, [key for key, _ in lacking])
    await compute(cache.end_forgetting)


def _pieces(cache: Cache) -> Iterator[_Piece]:
    for row in cache.rows():
        if not row.is_whole():
            raise sqlite3.DatabaseError("the checksum of a row is wrong")
        yield row.key, row.content_hash, _ids(row.extents)
        for part in cache.further_extents(row):
            yield row.key, row.content_hash, _ids(part)


def _next(pieces: Iterator[_Piece]) -> Sequence[_Piece]:
    part: list[_Piece] = []
    count = 0
    while count < _IDS_AT_ONCE and (piece := next(pieces, None)) is not None:
        part.append(piece)
        count += 1 + len(piece[2])
    return part


def _ids(extents: bytes) -> list[bytes]:
    return list(dict.fromkeys(id for id, _, _ in unpack_extents(extents)))
