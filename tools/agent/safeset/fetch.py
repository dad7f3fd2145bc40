"""Fetches records under a restore's ticket and opens them; what is damaged or missing is reported, the rest comes.

Trio thread, but for the functions that open: those run in worker threads.
"""

import threading
from collections.abc import Awaitable, Callable, Sequence

import trio

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.limits import FETCH_IDS_MAX
from protocol.messages import ChunkFetchRequest, FetchBatch, RestoreOpenAnswer
from tools.agent.safeset.window import OutOfReach
from tools.client.envelope import RecordOpener
from tools.client.keyring import Keyring
from tools.client.manifest_walk import BlockReference, FetchedBlock
from tools.client.offload import compute
from tools.client.record_format import IntegrityError, RecordType, cid, parse_header
from tools.client.root import Payload, Root, check_payload, decode_payload
from tools.client.run_key import RunKeys
from tools.client.session import VaultSession

# One restore asks for so much at once, and waits so long each time a fetch broke off with nothing new.
FETCHES_AT_ONCE = 3
# So few records may come over the connection of the questions, of which a restore has none left by then: one file then
# needs no other connection.
FEW_RECORDS = 8
PAUSES_SECONDS = (0.5, 2.0, 5.0, 15.0)

Opened = Callable[[bytes, bytes | IntegrityError], None]
"""Called for each chunk, from any thread: its id, and its content or why there is none."""

_Record = memoryview | IntegrityError
_Take = Callable[[list[bytes], list[_Record], FetchBatch], Awaitable[None]]


class Fetcher:
    """One unlocked safeset's way to its records."""

    def __init__(self, session: VaultSession, ticket: bytes, keyring: Keyring, root: Root) -> None:
        self.root = root
        self._session = session
        self._ticket = ticket
        self._run_keys = RunKeys(keyring)
        self._adding_keys = threading.Lock()
        self._room = trio.Semaphore(FETCHES_AT_ONCE)
        self.opener = RecordOpener(self._run_keys)

    def add_keys(self, keys: Sequence[tuple[bytes, bytes]]) -> None:
        """Worker threads; a key that does not open makes its records fail later, one by one."""
        with self._adding_keys:
            for id, sealed in keys:
                try:
                    self._run_keys.add(id, sealed)
                except IntegrityError:
                    continue

    def run_of(self, key_id: bytes) -> bytes:
        """The run of a key that opened something."""
        return self._run_keys[key_id].run_id

    async def fetch_chunks(self, ids: Sequence[bytes], opened: Opened) -> None:
        """All of them, each once, in about the order of asking."""

        async def open_batch(part: list[bytes], records: list[_Record], batch: FetchBatch) -> None:
            await compute(self._open_chunks, part, records, batch, opened)

        for start in range(0, len(ids), FETCH_IDS_MAX):
            await self._records(ids[start : start + FETCH_IDS_MAX], open_batch)

    async def fetch_blocks(self, references: Sequence[BlockReference]) -> list[FetchedBlock]:
        """Manifest blocks with their companions' records, each of them an IntegrityError when it cannot be had."""
        ids = [id for reference in references for id in (reference.block, reference.companion)]
        found: dict[bytes, _Record] = {}

        async def keep_batch(part: list[bytes], records: list[_Record], batch: FetchBatch) -> None:
            await compute(self.add_keys, batch.keys)
            found.update(zip(part, records, strict=True))

        await self._records(list(dict.fromkeys(ids)), keep_batch)
        return await compute(self._open_blocks, references, found)

    async def _records(self, ids: Sequence[bytes], take: _Take) -> None:
        """Gives each batch to `take`; asks anew for what is left when a fetch broke off."""
        left = list(ids)
        pauses_seconds = iter(PAUSES_SECONDS)
        while left:
            left_before = len(left)
            try:
                async with self._room:
                    await self._fetch(left, take)
            except ConnectionLost:
                if len(left) < left_before:
                    pauses_seconds = iter(PAUSES_SECONDS)
                pause_seconds = next(pauses_seconds, None)
                if pause_seconds is None:
                    raise
                await trio.sleep(pause_seconds)

    async def _fetch(self, left: list[bytes], take: _Take) -> None:
        """Takes out of `left` what was answered."""
        async with self._session.call("chunk.fetch", is_small=len(left) <= FEW_RECORDS) as call:
            await call.send(ChunkFetchRequest(self._ticket), b"".join(left))
            await call.end()
            while (received := await call.receive(FetchBatch)) is not None:
                batch, raw = received
                part = left[: len(batch.lengths)]
                is_all = len(part) == len(batch.lengths) and sum(batch.lengths) == len(raw)
                if not is_all or batch.lengths.count(0) != len(batch.lost):
                    raise RemoteProtocolError(ErrorCode.internal, "the vault sent other records than asked for")
                del left[: len(part)]
                await take(part, _split_batch(part, batch, raw), batch)
        if left:
            raise ConnectionLost("the vault ended a fetch before everything came")

    def _open_chunks(self, ids: list[bytes], records: list[_Record], batch: FetchBatch, opened: Opened) -> None:
        self.add_keys(batch.keys)
        for id, record in zip(ids, records, strict=True):
            opened(id, self._open(id, record, RecordType.DATA))

    def _open_blocks(self, references: Sequence[BlockReference], found: dict[bytes, _Record]) -> list[FetchedBlock]:
        return [
            (self._open(one.block, found[one.block], RecordType.MANIFEST), found[one.companion]) for one in references
        ]

    def _open(self, id: bytes, record: _Record, type: RecordType) -> bytes | IntegrityError:
        if isinstance(record, IntegrityError):
            return record
        try:
            return self.opener.open(record, id, type)
        except IntegrityError as error:
            return error


def open_safeset_records(
    fetcher: Fetcher, answer: RestoreOpenAnswer, raw: bytes
) -> tuple[Payload | IntegrityError, FetchedBlock]:
    """Payload, or why there is none, and top block that came with the answer to restore.open. Worker threads.

    The signed root names the top block: without the payload only the names of job and computer are not known.
    """
    root = fetcher.root
    fetcher.add_keys(answer.run_keys)
    if sum(answer.lengths) != len(raw):
        raise IntegrityError("the top block came with another length than the vault says")
    block, companion = _split(memoryview(raw), answer.lengths)
    opened = fetcher.opener.open(block, root.top_block, RecordType.MANIFEST)
    lost = IntegrityError("the top companion of the safeset is damaged or out of reach at the vault")
    return _open_payload(fetcher, answer.payload), (opened, companion if len(companion) else lost)


def _open_payload(fetcher: Fetcher, record: bytes) -> Payload | IntegrityError:
    """One that is there and says something else than the root is a lie, and no damage."""
    if not record:
        return IntegrityError(
            "the payload of the safeset is damaged or out of reach at the vault: the names of its job and computer"
            " could not be compared"
        )
    if cid(record) != fetcher.root.payload_hash:
        raise IntegrityError("the safeset's payload is not the one that its root names")
    try:
        header = parse_header(record)
    except ValueError as error:
        raise IntegrityError(f"the safeset's payload is damaged: {error}") from None
    payload = decode_payload(fetcher.opener.open(record, header.id, RecordType.ROOT))
    if (header.suite, fetcher.run_of(header.key_id)) != (fetcher.root.suite, fetcher.root.run_id):
        raise IntegrityError("the safeset's payload is of another run or suite than its root")
    check_payload(fetcher.root, payload)
    return payload


def _split_batch(ids: list[bytes], batch: FetchBatch, raw: memoryview) -> list[_Record]:
    losses = iter(batch.lost)
    return [
        record if len(record) else _lost(id, next(losses))
        for id, record in zip(ids, _split(raw, batch.lengths), strict=True)
    ]


def _lost(id: bytes, loss: str) -> IntegrityError:
    if loss == "offline":
        return OutOfReach(f"record {id.hex()} is on a disk of the vault that is offline")
    return IntegrityError(f"record {id.hex()} is {loss} at the vault")


def _split(raw: memoryview, lengths: Sequence[int]) -> list[memoryview]:
    parts = []
    position = 0
    for length in lengths:
        parts.append(raw[position : position + length])
        position += length
    return parts
