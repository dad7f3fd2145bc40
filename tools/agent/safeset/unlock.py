"""Opens a safeset with the job's password or recovery code; nothing of it is trusted that is not authenticated.

Order: the vault's parameters (judged against bounds) give proof and opening key; the proof gives slot and root; the
slot gives the keyring; its signing key must have signed the root, the pinned vault key must have countersigned it.
Which job and computer it is, is compared with what this agent knows and was asked for, never with the vault's words.
"""

from dataclasses import dataclass

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import (
    RestoreOpenAnswer,
    RestoreOpenRequest,
    RestoreParametersAnswer,
    RestoreParametersRequest,
)
from tools.agent.history.head import check_restored
from tools.agent.safeset.fetch import Fetcher, open_safeset_records
from tools.agent.state import Identity, StateDirectory
from tools.agent.vault.not_found import OF_ANOTHER_COMPUTER, hint_where_not_found
from tools.client.failure import Failure
from tools.client.keyring import Keyring, Unattended, signing_public_key
from tools.client.manifest_walk import BlockReference, FetchedBlock
from tools.client.offload import compute
from tools.client.question import Question
from tools.client.record_format import IntegrityError, LaterVersion
from tools.client.recovery_code import OTHER_CODE_HINT
from tools.client.root import Payload, Root, generation_of, open_root, root_hash, verify_countersignature
from tools.client.session import VaultSession
from tools.client.slot import (
    KIND_PASSWORD,
    KIND_RECOVERY_CODE,
    SlotDamaged,
    SlotKeys,
    SlotParameters,
    WrongPassword,
    derive_keys,
    open_slot_copies,
)

Secret = str | bytes
"""A job password, or the 20 bytes of a recovery code."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`computer` None means this one; `sequence` 0 means the latest complete safeset. `job_id` where the job is known
    by more than its name.
    """

    job: str
    computer: str | None
    sequence: int
    job_id: bytes | None = None

    @property
    def text(self) -> str:
        """Job and computer as they are typed."""
        return self.job if self.computer is None else f"{self.job} --computer {self.computer}"


@dataclass(frozen=True, slots=True)
class Unlocked:
    """`damage` is about records of the safeset that a restore can do without; `includes` are none where it hit them;
    `is_known_damaged`: the vault says that something of the safeset is damaged or lost.
    """

    root: Root
    id_key: bytes
    fetcher: Fetcher
    top: BlockReference
    top_block: FetchedBlock
    damage: list[str]
    includes: tuple[bytes, ...]
    is_known_damaged: bool = False


def first_question(wanted: Wanted) -> Question[RestoreParametersAnswer]:
    """Of `unlock`: it may be asked as the session begins."""
    request = RestoreParametersRequest(wanted.computer, wanted.job)
    return Question("restore.parameters", request, RestoreParametersAnswer)


async def unlock(session: VaultSession, state: StateDirectory, wanted: Wanted, secret: Secret) -> Unlocked:
    identity = state.load_identity()
    with hint_where_not_found(OF_ANOTHER_COMPUTER if wanted.computer is None else ""):
        first = first_question(wanted)
        parameters, _ = await session.ask(first.method, first.request, first.answer_type)
    if wanted.computer is None:
        _check_job(state, wanted.job, parameters.job_id)
    if wanted.job_id not in (None, parameters.job_id):
        raise Failure(
            "conflict",
            f"the vault shows another job under the name {wanted.job!r} than the one that was to be restored",
            "nothing was restored: was the job created anew meanwhile? else ask the vault's operator",
        )
    known = state.job(parameters.job_id).load_head()  # before the vault is asked: a run may end meanwhile
    answer, raw, keys = await _open(session, wanted, parameters, secret)
    try:
        keyring = await compute(open_slot_copies, answer.slots, keys)
        root = _checked_root(answer, parameters, keyring, identity)
        if wanted.computer is None:
            _check_own(state, identity, root)
        fetcher = Fetcher(session, answer.ticket, keyring, root)
        payload, block = await compute(open_safeset_records, fetcher, answer, bytes(raw))
        damage: list[str] = []
        includes: tuple[bytes, ...] = ()
        if isinstance(payload, IntegrityError):
            damage.append(str(payload))
        else:
            includes = payload.includes
            _check_names(payload, wanted, identity)
    except WrongPassword:
        raise wrong_secret(secret) from None
    except SlotDamaged as error:
        raise Failure(
            "damaged", f"the slot that this opens is damaged: {error}", "try the other one: password or recovery code"
        ) from None
    except LaterVersion as error:
        raise Failure("conflict", str(error), "update safeset on this computer and restore again") from None
    except IntegrityError as error:
        raise Failure("damaged", str(error), "try another safeset, or ask the vault's operator") from None
    check_restored(known, root, answer.root, wanted.sequence)
    top = BlockReference(root.top_block, root.top_companion, root.level)
    id_key = keyring.generation(root.generation).id_key
    return Unlocked(root, id_key, fetcher, top, block, damage, includes, answer.damaged)


async def _open(
    session: VaultSession, wanted: Wanted, parameters: RestoreParametersAnswer, secret: Secret
) -> tuple[RestoreOpenAnswer, memoryview, SlotKeys]:
    """Tries the slots of the secret's kind; the vault tells by the proof which one it opens."""
    for slot in slots_for(parameters, secret):
        try:
            keys = await compute(derive_keys, secret, slot)
        except SlotDamaged as error:
            raise Failure("damaged", f"the vault's parameters of a slot are bad: {error}", "ask its operator") from None
        request = RestoreOpenRequest(wanted.computer, wanted.job, slot.slot_id, keys.proof, wanted.sequence)
        try:
            with hint_where_not_found(f"see `vault-agent safesets {wanted.text}`"):
                answer, raw = await session.ask("restore.open", request, RestoreOpenAnswer)
        except RemoteProtocolError as error:
            if error.code is not ErrorCode.wrong_password:
                raise
            continue
        return answer, raw, keys
    raise wrong_secret(secret)


def slots_for(parameters: RestoreParametersAnswer, secret: Secret) -> list[SlotParameters]:
    """Those that a secret of this kind may open."""
    kind = KIND_PASSWORD if isinstance(secret, str) else KIND_RECOVERY_CODE
    return [
        SlotParameters(slot.slot_id, slot.kind, slot.memory_kib, slot.passes, slot.lanes, slot.salt)
        for slot in parameters.slots
        if slot.kind == kind
    ]


def _checked_root(
    answer: RestoreOpenAnswer, parameters: RestoreParametersAnswer, keyring: Keyring, identity: Identity
) -> Root:
    seed = keyring.signing_seed(parameters.job_id, generation_of(answer.root))
    root = open_root(answer.root, signing_public_key(seed))
    if root.suite < keyring.generation(root.generation).minimum_suite:
        raise IntegrityError(f"the safeset's suite {root.suite} is below the minimum of its generation")
    mine = (keyring.keyring_id, parameters.job_id, parameters.computer_id)
    if (root.keyring_id, root.job_id, root.computer_id) != mine:
        raise IntegrityError("the vault answered with a safeset of another keyring, job or computer")
    verify_countersignature(
        root_hash(answer.root), bytes.fromhex(identity.vault_id), answer.vault_time_ns, answer.countersignature,
        bytes.fromhex(identity.vault_key),
    )  # fmt: skip
    return root


def _check_job(state: StateDirectory, name: str, job_id: bytes) -> None:
    """A job that had the name before would be an older one, with the same password perhaps."""
    known_job_id = state.known_job_id(name)
    if known_job_id is not None and known_job_id != job_id:
        raise Failure(
            "conflict",
            f"the vault shows another job under the name {name!r} than the one that this agent backed up",
            f"if you created the job anew, remove its line from {state.names_path}; else ask the vault's operator",
        )


def _check_own(state: StateDirectory, identity: Identity, root: Root) -> None:
    """A job of this computer: by its identity and, where it has backed the job up, by the job's keyring."""
    if root.computer_id.hex() != identity.computer_id:
        raise IntegrityError("the vault answered with a safeset of another computer than this one")
    saved = state.job(root.job_id).load_unattended()
    if saved is not None and Unattended.decode(saved).keyring_id != root.keyring_id:
        raise IntegrityError("the vault answered with a safeset of another keyring than this computer's job has")


def _check_names(payload: Payload, wanted: Wanted, identity: Identity) -> None:
    """The names that were sealed, with those that the person meant; names are unique regardless of case."""
    job, computer = wanted.job, wanted.computer or identity.computer
    if (payload.job_name.casefold(), payload.computer_name.casefold()) != (job.casefold(), computer.casefold()):
        raise IntegrityError(
            f"the vault answered with a safeset of job {payload.job_name!r} of computer {payload.computer_name!r},"
            f" not of job {job!r} of computer {computer!r}"
        )


def wrong_secret(secret: Secret) -> Failure:
    if isinstance(secret, str):
        return Failure("wrong_password", "the password does not open this job", "check for the right job and computer")
    return Failure("wrong_password", "the recovery code does not open this job", OTHER_CODE_HINT)
