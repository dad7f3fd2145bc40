"""Makes a signed root a safeset, and finds out what became of one whose answer was lost.

Invariant: before a root is sent its hash is in the state, and it stays there until the vault has said whether it is a
safeset. A head is kept only under a countersignature that fits the pinned vault key.
"""

from collections.abc import Awaitable, Callable

import trio

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import (
    RunEndAnswer,
    RunEndRequest,
    SafesetCommitAnswer,
    SafesetCommitRequest,
    SafesetFindAnswer,
    SafesetFindRequest,
)
from tools.agent.state import Identity, JobState, KnownHead, PendingRoot
from tools.client.failure import Failure, describe
from tools.client.question import Question
from tools.client.record_format import IntegrityError
from tools.client.root import Root, root_hash, verify_countersignature
from tools.client.session import VaultSession

_FIND_SECONDS = 10.0


class RootRefused(Failure):
    """The vault makes no safeset of a root: a record that it uses is missing or damaged, or the head moved."""


class Committer:
    """Of one job. `notes` says what went wrong after a root had become a safeset, and so harms nothing."""

    def __init__(self, session: VaultSession, identity: Identity, state: JobState, job_id: bytes) -> None:
        self.notes: list[str] = []
        self._wait_end: Callable[[], Awaitable[RunEndAnswer | RemoteProtocolError]] | None = None
        self._session = session
        self._identity = identity
        self._state = state
        self._job_id = job_id

    async def commit(
        self, root: Root, encoded: bytes, payload_record: bytes | memoryview, end: RunEndRequest | None = None
    ) -> bytes:
        """Returns the root hash when the vault has countersigned it. `end` goes with a root that is the last one of its
        run, in the same round trip; the vault takes it only behind its safeset, and `wait_ended` says whether it did.
        """
        hash = root_hash(encoded)
        pending = PendingRoot(
            timeline=root.timeline, sequence=root.sequence, root_hash=hash.hex(), generation=root.generation,
            is_complete=root.complete,
        )  # fmt: skip
        self._state.save_pending(pending)
        request = SafesetCommitRequest(root.run_id)
        answer: SafesetCommitAnswer | SafesetFindAnswer | None
        try:
            raw = b"".join((encoded, payload_record))
            answer = await self._ask(Question("safeset.commit", request, SafesetCommitAnswer, raw), end)
        except Exception as error:
            answer = await self._find_at_once(hash)
            if answer is None and isinstance(error, RemoteProtocolError) and error.code == ErrorCode.conflict:
                raise RootRefused(error.code, error.message, error.hint) from None
            if answer is None:
                raise
        self._check(pending, answer)
        try:
            self._keep(pending)
        except OSError as error:
            self.notes.append(f"the state could not be written, the next run tries again: {describe(error).message}")
        return hash

    async def wait_ended(self) -> bool:
        """Whether the vault took the end that went with the root; what the root brought is kept by then."""
        return self._wait_end is not None and isinstance(await self._wait_end(), RunEndAnswer)

    async def settle(self) -> bool:
        """What became of the last run's root, where its answer did not arrive: whether that run is over, because its
        safeset is there.
        """
        pending = self._state.load_pending()
        if pending is None:
            return False
        try:
            answer = await self._find(bytes.fromhex(pending.root_hash))
        except RemoteProtocolError as error:
            if error.code != ErrorCode.not_found:
                raise
            self._state.forget_pending()
            return False
        self._check(pending, answer)
        self._keep(pending)
        return pending.is_complete

    async def _ask(self, question: Question[SafesetCommitAnswer], end: RunEndRequest | None) -> SafesetCommitAnswer:
        if end is None:
            answer, _ = await self._session.ask(
                question.method, question.request, question.answer_type, question.raw
            )
            return answer
        answer, self._wait_end = await self._session.ask_in_turn(question, Question("run.end", end, RunEndAnswer))
        return answer

    async def _find(self, hash: bytes) -> SafesetFindAnswer:
        answer, _ = await self._session.ask("safeset.find", SafesetFindRequest(self._job_id, hash), SafesetFindAnswer)
        return answer

    async def _find_at_once(self, hash: bytes) -> SafesetFindAnswer | None:
        """The connection may be what failed: then the next run finds it."""
        with trio.move_on_after(_FIND_SECONDS):
            try:
                return await self._find(hash)
            except Exception:
                return None
        return None

    def _check(self, pending: PendingRoot, answer: SafesetCommitAnswer | SafesetFindAnswer) -> None:
        vault_id, vault_key = bytes.fromhex(self._identity.vault_id), bytes.fromhex(self._identity.vault_key)
        hash = bytes.fromhex(pending.root_hash)
        try:
            verify_countersignature(hash, vault_id, answer.time_ns, answer.countersignature, vault_key)
        except IntegrityError as error:
            raise Failure("damaged", str(error), "the vault is not the one that this agent registered at") from None
        if answer.sequence != pending.sequence:
            message = f"the vault took safeset {pending.sequence} as number {answer.sequence}"
            raise Failure("damaged", message, "ask its operator")

    def _keep(self, pending: PendingRoot) -> None:
        known = self._state.load_head()
        if known is None or (known.timeline, known.sequence) < (pending.timeline, pending.sequence):
            head = KnownHead(
                timeline=pending.timeline, sequence=pending.sequence, root_hash=pending.root_hash,
                generation=pending.generation,
            )  # fmt: skip
            self._state.save_head(head)
        self._state.forget_pending()
