"""Follows the safesets of a job, root by root, from the one that this agent knows to the vault's newest.

The job's key signed every root, and every root names the one before: a vault can neither make one up nor leave one out.
After a rotation the roots of an earlier generation are verified with the key that signed then, and with no other.
Without a known head (a new state, or one that a person gave up) the chain is followed from the first safeset.
"""

from dataclasses import dataclass

from protocol.messages import SafesetRootsAnswer, SafesetRootsRequest
from tools.agent.history.head import ToldHead, check_head, rolled_back
from tools.agent.state import JobState, KnownHead
from tools.client.keyring import Unattended, signing_public_key
from tools.client.offload import compute
from tools.client.record_format import IntegrityError
from tools.client.root import ROOT_BYTES, generation_of, open_root, root_hash
from tools.client.session import VaultSession

_BEFORE_THE_FIRST = bytes(32)


@dataclass(frozen=True, slots=True)
class Chain:
    """Of one job, of this computer, under the keyring of this state."""

    session: VaultSession
    state: JobState
    keys: Unattended
    job_id: bytes
    computer_id: bytes

    async def follow(self, known: KnownHead | None, told: ToldHead) -> KnownHead:
        """The head that the vault tells, once every safeset up to it is seen; Failure when it is another history."""
        head = known or KnownHead(timeline=told.timeline, sequence=0, root_hash=_BEFORE_THE_FIRST.hex())
        check_head(head, told, self.state.head_path)
        signers: dict[int, bytes] = {}
        while head.sequence < told.head_sequence:
            request = SafesetRootsRequest(self.job_id, head.sequence)
            _, raw = await self.session.ask("safeset.roots", request, SafesetRootsAnswer)
            roots = bytes(raw[: (told.head_sequence - head.sequence) * ROOT_BYTES])
            signers = signers or await compute(self.load_signers)
            head = await compute(self._after, head, roots, signers)
        check_head(head, told, self.state.head_path)
        return head

    def _after(self, head: KnownHead, roots: bytes, signers: dict[int, bytes]) -> KnownHead:
        """The last of the roots, each of which follows the one before. Worker threads."""
        if not roots:
            raise rolled_back(f"it has nothing after safeset {head.sequence}", self.state.head_path)
        for start in range(0, len(roots), ROOT_BYTES):
            try:
                head = self._next(head, roots[start : start + ROOT_BYTES], signers)
            except IntegrityError as error:
                message = f"what it has after safeset {head.sequence} is not this agent's: {error}"
                raise rolled_back(message, self.state.head_path) from None
        return head

    def load_signers(self) -> dict[int, bytes]:
        """What verifies roots, by generation. An agent that never saw a rotation knows one key, for all."""
        own = signing_public_key(self.keys.signing_seed)
        earlier = {number: key for number, key in self.state.load_signers().items() if number < self.keys.generation}
        return earlier | {self.keys.generation if earlier else 0: own}

    def signing_key(self, encoded: bytes, signers: dict[int, bytes]) -> bytes:
        """Of a root: that of the greatest generation that is not above its own."""
        generation = generation_of(encoded)
        of_then = [number for number in signers if number <= generation]
        if not of_then:
            raise IntegrityError(f"its generation {generation} is from before those that this agent knows")
        return signers[max(of_then)]

    def _next(self, head: KnownHead, encoded: bytes, signers: dict[int, bytes]) -> KnownHead:
        root = open_root(encoded, self.signing_key(encoded, signers))
        mine = (self.keys.keyring_id, self.job_id, self.computer_id)
        if (root.keyring_id, root.job_id, root.computer_id) != mine:
            raise IntegrityError("it is of another keyring, job or computer")
        lowest, highest = head.generation, self.keys.generation
        if not lowest <= root.generation <= highest:
            raise IntegrityError(f"its generation {root.generation} is not in {lowest}..{highest}")
        if (root.timeline, root.sequence) != (head.timeline, head.sequence + 1):
            raise IntegrityError(f"it is safeset {root.sequence} of timeline {root.timeline}")
        if root.previous.hex() != head.root_hash:
            raise IntegrityError("it follows another safeset")
        return KnownHead(
            timeline=root.timeline, sequence=root.sequence, root_hash=root_hash(encoded).hex(),
            generation=root.generation,
        )  # fmt: skip
