"""Chunks, manifest blocks and companions under their ids, and how they become records. Worker threads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tools.agent.chunks.chunk import PendingChunk
from tools.client.companion import companion_id, companion_record
from tools.client.envelope import RecordSealer, SealedRecord
from tools.client.failure import Failure
from tools.client.keyring import Unattended
from tools.client.record_format import RecordType, chunk_id, cid
from tools.client.run_key import NewRunKey


class Outgoing(NamedTuple):
    """Something that the vault may lack."""

    type: int
    id: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class RecordMaker:
    """Makes the records of one run; any number of threads at once."""

    sealer: RecordSealer
    id_key: bytes
    keyring_id: bytes

    def identify(self, chunks: Iterable[PendingChunk]) -> list[Outgoing]:
        """Sets the ids of data chunks; from now on only the answer holds their content."""
        outgoing = []
        for chunk in chunks:
            chunk.id = chunk_id(self.id_key, RecordType.DATA, chunk.content)
            outgoing.append(Outgoing(RecordType.DATA, chunk.id, chunk.content))
            chunk.content = b""
        return outgoing

    def block(self, plaintext: bytes, companion_body: bytes) -> tuple[Outgoing, Outgoing]:
        """A manifest block and its companion."""
        id = chunk_id(self.id_key, RecordType.MANIFEST, plaintext)
        companion = Outgoing(RecordType.COMPANION, companion_id(companion_body), companion_body)
        return Outgoing(RecordType.MANIFEST, id, plaintext), companion

    def seal(self, outgoing: Iterable[Outgoing]) -> list[SealedRecord]:
        return [self._seal(item) for item in outgoing]

    def _seal(self, item: Outgoing) -> SealedRecord:
        if item.type == RecordType.COMPANION:
            record = companion_record(item.content, self.keyring_id)
            return SealedRecord(memoryview(record), cid(record))
        return self.sealer.seal(item.type, item.id, item.content)


def make_record_maker(unattended: Unattended, run_key: NewRunKey, suite: int, compression_level: int) -> RecordMaker:
    """Failure where the keyring does not take the job's suite: nothing would open what is sealed."""
    u = unattended
    if suite < u.minimum_suite:
        raise Failure(
            "conflict",
            f"the job's suite {suite} is below {u.minimum_suite}, the minimum of its keyring",
            f"create the job anew with suite {u.minimum_suite}",
        )
    sealer = RecordSealer(run_key.run_key, u.keyring_id, run_key.key_id, u.id_key, suite, compression_level)
    return RecordMaker(sealer, u.id_key, u.keyring_id)
