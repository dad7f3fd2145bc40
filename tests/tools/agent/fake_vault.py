"""A vault in dictionaries that answers an agent's session: the same `ask` and `call`, no wire, no disk.

It judges what it gets with plain code of its own: cids, signatures, and the presence of everything that a committed
root names through its companions.
"""

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import trio
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError

HEADER_BYTES = 84
ZERO_HASH = bytes(32)


class FakeVault:
    def __init__(self, job: m.AgentJob, computer_id: bytes) -> None:
        self.job = job
        self.computer_id = computer_id
        self.vault_id = b"v" * 16
        self.signing = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
        self.records: dict[bytes, bytes] = {}
        self.run_keys: dict[bytes, bytes] = {}
        self.keyring: m.KeyringCreateRequest | None = None
        self.sent_keys: bytes | None = None
        self.secret_lost: Literal["damaged", "unavailable"] | None = None
        self.roots: list[tuple[bytes, bytes]] = []
        self.told: list[m.RunProgressRequest] = []
        self.ended: list[m.RunEndRequest] = []
        self.offered: list[bytes] = []
        self.found: list[str] = []
        self.uploads = 0
        self.expected_bulk = 0
        self.calls: list[tuple[str, bool]] = []
        self.together: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.base_known = True
        self.runs: dict[bytes, str] = {}  # how each run stands; `complete` has its safeset and is not ended yet
        self.lost: dict[bytes, str] = {}
        self.fetched: list[bytes] = []
        self.fetches: list[list[bytes]] = []

    # What tests look at and do

    @property
    def vault_key(self) -> bytes:
        return self.signing.public_key().public_bytes_raw()

    def current_job(self) -> m.AgentJob:
        keyring_id = self.keyring.keyring_id if self.keyring else None
        head = blake3(self.roots[-1][0]).digest() if self.roots else ZERO_HASH
        return msgspec.structs.replace(
            self.job, keyring_id=keyring_id, secret=self.sent_keys if keyring_id else self.job.secret,
            head_sequence=len(self.roots), head_hash=head, secret_lost=self.secret_lost,
        )  # fmt: skip

    def ids_of_type(self, type: int) -> list[bytes]:
        return [id for id, record in self.records.items() if record[6] == type]

    def asked_twice(self) -> list[bytes]:
        """Ids that were asked for by more than one fetch."""
        return [id for id, count in Counter(self.fetched).items() if count > 1]

    def can_give(self, id: bytes) -> bool:
        return id in self.records and id not in self.lost

    def end_run(self, run_id: bytes, outcome: str) -> None:
        """As its agent, or somebody else at the vault, says; one that has ended stays as it is."""
        if self.runs[run_id] in ("running", "complete"):
            self.runs[run_id] = outcome

    # The session

    async def ask(self, method: str, request: Any, answer_type: Any, raw: Any = b"") -> tuple[Any, memoryview]:
        await trio.lowlevel.checkpoint()
        self.asked.append(method)
        handler: Callable[[Any, bytes], tuple[Any, bytes]] = getattr(self, "_" + method.replace(".", "_"))
        answer, back = handler(request, bytes(raw))
        assert isinstance(answer, answer_type)
        return answer, memoryview(back)

    async def ask_in_turn(self, question: Any, later: Any) -> tuple[Any, Any]:
        self.together.append((question.method, later.method))
        answer, _ = await self.ask(question.method, question.request, question.answer_type, question.raw)

        async def answer_later() -> Any:
            try:
                return (await self.ask(later.method, later.request, later.answer_type, later.raw))[0]
            except RemoteProtocolError as error:
                return error

        return answer, answer_later

    def expect_bulk(self) -> None:
        self.expected_bulk += 1

    def call(self, method: str, *, is_small: bool = False) -> "FakeCall":
        self.calls.append((method, is_small))
        return {"chunk.upload": FakeUpload, "chunk.fetch": FakeFetch}[method](self)

    def _agent_jobs(self, request: m.AgentJobsRequest, raw: bytes) -> tuple[Any, bytes]:
        return m.AgentJobsAnswer([self.current_job()]), b""

    def _keyring_create(self, request: m.KeyringCreateRequest, raw: bytes) -> tuple[Any, bytes]:
        assert self.keyring is None
        self.keyring = request
        return m.KeyringCreateAnswer(), b""

    def _run_begin(self, request: m.RunBeginRequest, raw: bytes) -> tuple[Any, bytes]:
        job = self.current_job()
        if self.runs.get(request.run_id, "running") not in ("running", "complete"):
            raise RemoteProtocolError(ErrorCode.conflict, "the run has ended", "begin a new run")
        for other in self.runs:
            self.end_run(other, "aborted" if other != request.run_id else self.runs[other])
        self.runs.setdefault(request.run_id, "running")
        known = self.base_known and request.base is not None and request.base == job.head_hash
        return m.RunBeginAnswer(known, 1, job.head_sequence, job.head_hash, 1_000), b""

    def _run_key(self, request: m.RunKeyRequest, raw: bytes) -> tuple[Any, bytes]:
        self.run_keys[blake3(request.sealed_key).digest(length=16)] = request.sealed_key
        return m.RunKeyAnswer(), b""

    def _run_progress(self, request: m.RunProgressRequest, raw: bytes) -> tuple[Any, bytes]:
        self.told.append(request)
        if self.runs[request.run_id] not in ("running", "complete"):
            raise RemoteProtocolError(ErrorCode.not_found, "the run does not exist", "")
        return m.RunProgressAnswer(), b""

    def _run_end(self, request: m.RunEndRequest, raw: bytes) -> tuple[Any, bytes]:
        self.ended.append(request)
        self.end_run(request.run_id, request.outcome)
        return m.RunEndAnswer(), b""

    def _chunk_offer(self, request: m.ChunkOfferRequest, raw: bytes) -> tuple[Any, bytes]:
        ids = [raw[i : i + 32] for i in range(0, len(raw), 32)]
        self.offered += ids
        missing = [id not in self.records for id in ids]
        bitmap = bytearray(-(-len(ids) // 8))
        for i, is_missing in enumerate(missing):
            bitmap[i // 8] |= is_missing << i % 8
        return m.ChunkOfferAnswer(sum(missing)), bytes(bitmap)

    def store(self, record: bytes, cid: bytes) -> None:
        assert blake3(record).digest() == cid
        assert record[6] == 3 or record[24:40] in self.run_keys, "a record came before its run key"
        self.records.setdefault(record[40:72], record)

    def _safeset_commit(self, request: m.SafesetCommitRequest, raw: bytes) -> tuple[Any, bytes]:
        root, payload = raw[:360], raw[360:]
        if self.runs[request.run_id] != "running":
            raise RemoteProtocolError(ErrorCode.conflict, "the run has ended, or is complete", "begin a new run")
        assert self.keyring is not None
        signing_key = Ed25519PublicKey.from_public_bytes(self.keyring.signing_key)
        signing_key.verify(root[296:], b"safeset root v1" + root[:296])
        assert root[88:120] == self.current_job().head_hash
        self._check_presence(root[160:192], root[192:224])
        self.roots.append((root, payload))
        if root[6] == 1:
            self.runs[request.run_id] = "complete"
        return m.SafesetCommitAnswer(len(self.roots), 2_000, self._countersign(root)), b""

    def _safeset_find(self, request: m.SafesetFindRequest, raw: bytes) -> tuple[Any, bytes]:
        for number, (root, _) in enumerate(self.roots, 1):
            if blake3(root).digest() == request.root_hash:
                self.found.append(request.root_hash.hex())
                return m.SafesetFindAnswer(number, 2_000, self._countersign(root)), b""
        raise RemoteProtocolError(ErrorCode.not_found, "There is no such safeset.", "")

    def _safeset_roots(self, request: m.SafesetRootsRequest, raw: bytes) -> tuple[Any, bytes]:
        return m.SafesetRootsAnswer(), b"".join(root for root, _ in self.roots[request.after :][:2])

    def _safeset_list(self, request: m.SafesetListRequest, raw: bytes) -> tuple[Any, bytes]:
        found = [
            m.SafesetSummary(number, 1, root[6] == 1, 0, 0, 0, "", 1, None, None, None, False, blake3(root).digest())
            for number, (root, _) in enumerate(self.roots, 1)
        ]
        return m.SafesetListAnswer(found, None), b""

    def _countersign(self, root: bytes) -> bytes:
        message = b"safeset countersignature v1" + blake3(root).digest() + self.vault_id + struct.pack("<q", 2_000)
        return self.signing.sign(message)

    def _check_presence(self, block: bytes, companion: bytes) -> None:
        assert block in self.records
        body = self.records[companion][HEADER_BYTES:]
        count = int.from_bytes(body[1:5], "little")
        ids = [body[5 + 32 * i : 37 + 32 * i] for i in range(count)]
        assert all(id in self.records for id in ids)
        rest = body[5 + 32 * count :]
        for i in range(int.from_bytes(rest[:4], "little")):
            child = rest[4 + 32 * i : 36 + 32 * i]
            self._check_presence(ids[0], child)

    def _restore_parameters(self, request: m.RestoreParametersRequest, raw: bytes) -> tuple[Any, bytes]:
        assert self.keyring is not None
        slots = []
        for upload in self.keyring.slots:
            slot = upload.slot
            slots.append(m.SlotParameters(slot[8:24], slot[5], *struct.unpack("<III", slot[44:56]), slot[56:72]))
        keyring_id = self.keyring.keyring_id
        return m.RestoreParametersAnswer(self.job.job_id, self.computer_id, keyring_id, slots, len(self.roots)), b""

    def _restore_open(self, request: m.RestoreOpenRequest, raw: bytes) -> tuple[Any, bytes]:
        assert self.keyring is not None
        upload = next(upload for upload in self.keyring.slots if upload.slot[8:24] == request.slot_id)
        if blake3(request.proof).digest() != upload.proof_hash:
            raise RemoteProtocolError(ErrorCode.wrong_password, "The proof is wrong.", "")
        if request.sequence > len(self.roots):
            raise RemoteProtocolError(ErrorCode.not_found, "There is no such safeset.", "")
        root, payload = self.roots[request.sequence - 1]
        parts = [self.records[root[160:192]], self.records[root[192:224]]]
        answer = m.RestoreOpenAnswer(
            b"t" * 16, [upload.slot, upload.slot], root, payload, self._countersign(root), 2_000,
            list(self.run_keys.items()), [len(part) for part in parts],
        )  # fmt: skip
        return answer, b"".join(parts)


class FakeCall:
    def __init__(self, vault: FakeVault) -> None:
        self.vault = vault

    async def __aenter__(self) -> "FakeCall":
        return self

    async def __aexit__(self, *_: object) -> None:
        return


class FakeUpload(FakeCall):
    def __init__(self, vault: FakeVault) -> None:
        super().__init__(vault)
        self.to_agent, self.answers = trio.open_memory_channel[Any](float("inf"))

    async def send(self, batch: m.UploadBatch, raw: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.vault.uploads += 1
        pieces = [bytes(piece) for piece in raw]
        assert [len(piece) for piece in pieces] == batch.lengths
        for i, piece in enumerate(pieces):
            self.vault.store(piece, batch.cids[32 * i : 32 * i + 32])
        await self.to_agent.send(m.UploadDurable(batch.number))

    async def end(self) -> None:
        await self.to_agent.aclose()

    async def receive(self, type: Any) -> Any:
        try:
            return await self.answers.receive(), memoryview(b"")
        except trio.EndOfChannel:
            return None


class FakeFetch(FakeCall):
    """Answers three records a frame."""

    async def send(self, request: m.ChunkFetchRequest, raw: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.ids = [raw[i : i + 32] for i in range(0, len(raw), 32)]
        self.vault.fetched += self.ids
        self.vault.fetches.append(self.ids)

    async def end(self) -> None:
        return

    async def receive(self, type: Any) -> Any:
        await trio.lowlevel.checkpoint()
        part, self.ids = self.ids[:3], self.ids[3:]
        if not part:
            return None
        lost = [self.vault.lost.get(id, "missing") for id in part if not self.vault.can_give(id)]
        records = [self.vault.records[id] if self.vault.can_give(id) else b"" for id in part]
        return m.FetchBatch([len(record) for record in records], lost, []), memoryview(b"".join(records))
