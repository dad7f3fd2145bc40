"""Takes up what a run that was broken off had acknowledged: its rows come beside those of the base, or those of a
safeset that the vault does not have.

Every id that they name is offered to the vault first. A path whose content is not there any more is read again, as is
one that changed: the scan compares it with its row as with any other.
"""

from collections.abc import Iterable, Iterator

from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow
from tools.agent.chunks.extent_list import unpack_extents
from tools.agent.hit_files import HitFiles
from tools.agent.run.run_journal import ExtentsPart, Piece, RunJournal
from tools.agent.run.unbound_rows import offer_rows
from tools.agent.upload.offer import find_missing
from tools.client.offload import compute
from tools.client.session import VaultSession


async def take_up(session: VaultSession, run_id: bytes, journal: RunJournal, cache: Cache) -> HitFiles:
    """Before the run begins to scan and to write. Where the cache cannot be written nothing is taken up. Returns the
    files of the base of which the vault lacks something.
    """
    hit = HitFiles()
    if cache.is_unbound:
        await offer_rows(session, run_id, cache, hit)
    if journal.has_rows:
        await _take_up_rows(session, run_id, journal, cache)
    return hit


async def _take_up_rows(session: VaultSession, run_id: bytes, journal: RunJournal, cache: Cache) -> None:
    pieces = journal.pieces()
    lost_parts: set[bytes] = set()
    await compute(cache.begin_resumed)
    while (read := await compute(_next, pieces)) is not None:
        piece, ids = read
        missing = await find_missing(session, run_id, ids)
        lost = {id for id, is_missing in zip(ids, missing, strict=True) if is_missing}
        await compute(_keep, cache, piece, lost, lost_parts)
    await compute(cache.end_resumed)


def _next(pieces: Iterator[Piece]) -> tuple[Piece, list[bytes]] | None:
    """With the ids that it names, each once."""
    piece = next(pieces, None)
    if piece is None:
        return None
    packed = [piece.extents] if isinstance(piece, ExtentsPart) else [row.extents for row in piece]
    return piece, list(dict.fromkeys(_ids(packed)))


def _ids(packed: Iterable[bytes]) -> Iterator[bytes]:
    for extents in packed:
        for id, _, _ in unpack_extents(extents):
            yield id


def _keep(cache: Cache, piece: Piece, lost: set[bytes], lost_parts: set[bytes]) -> None:
    """`lost_parts`: paths whose row is still to come, where a further part of their extents is lost."""
    if isinstance(piece, ExtentsPart):
        if not lost.isdisjoint(_ids([piece.extents])):
            lost_parts.add(piece.key)
        cache.add_resumed_extents(*piece)
        return
    is_lost = [row.key in lost_parts or not lost.isdisjoint(_ids([row.extents])) for row in piece]
    lost_parts.difference_update(row.key for row in piece)
    kept = [row for row, is_lost_row in zip(piece, is_lost, strict=True) if not is_lost_row]
    cache.add_resumed(_newest(kept), [row.key for row, is_lost_row in zip(piece, is_lost, strict=True) if is_lost_row])


def _newest(rows: list[CachedRow]) -> list[CachedRow]:
    """One statement takes each path once."""
    return list({row.key: row for row in rows}.values())
