"""A job's keyring, opened on the machine of a person who knows its password or has its recovery code.

The vault gives the slot against the proof; what opens it never leaves this process.
"""

from dataclasses import dataclass, field

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tools.client import calls
from tools.client.failure import Failure
from tools.client.keyring import Keyring
from tools.client.offload import compute
from tools.client.record_format import IntegrityError, LaterVersion
from tools.client.recovery_code import OTHER_CODE_HINT
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
class HeldKeyring:
    """`slot_id` and `proof`: of the slot that opened it, which is what a change of the slots is asked with."""

    keyring: Keyring = field(repr=False)
    parameters: m.KeyringParametersAnswer
    slot_id: bytes
    proof: bytes = field(repr=False)

    def slot_ids(self, kind: int) -> list[bytes]:
        return [slot.slot_id for slot in self.parameters.slots if slot.kind == kind]

    @property
    def has_recovery_code(self) -> bool:
        return bool(self.slot_ids(KIND_RECOVERY_CODE))


async def hold_keyring(session: VaultSession, computer: str, job: str, secret: Secret) -> HeldKeyring:
    """Tries the slots of the secret's kind; the vault tells by the proof which one it opens."""
    parameters = await calls.keyring_parameters(session, computer, job)
    kind = KIND_PASSWORD if isinstance(secret, str) else KIND_RECOVERY_CODE
    for slot in parameters.slots:
        if slot.kind != kind:
            continue
        p = SlotParameters(slot.slot_id, slot.kind, slot.memory_kib, slot.passes, slot.lanes, slot.salt)
        try:
            keys = await compute(derive_keys, secret, p)
        except SlotDamaged as error:
            raise Failure("damaged", f"the vault's parameters of a slot are bad: {error}", "ask its operator") from None
        try:
            copies = await calls.open_keyring(session, m.KeyringOpenRequest(computer, job, slot.slot_id, keys.proof))
        except RemoteProtocolError as error:
            if error.code is not ErrorCode.wrong_password:
                raise
            continue
        keyring = await compute(_opened, copies, keys, parameters)
        return HeldKeyring(keyring, parameters, slot.slot_id, keys.proof)
    raise _wrong(secret)


def _opened(copies: list[bytes], keys: SlotKeys, parameters: m.KeyringParametersAnswer) -> Keyring:
    try:
        keyring = open_slot_copies(copies, keys)
    except WrongPassword as error:
        raise Failure("wrong_password", str(error), "check for the right job and computer") from None
    except LaterVersion as error:
        raise Failure("conflict", str(error), "update safeset on this computer") from None
    except IntegrityError as error:
        hint = "try the other one: password or recovery code"
        raise Failure("damaged", f"the slot that this opens is damaged: {error}", hint) from None
    # Another keyring would be sealed anew under the id of this one, and nothing of the job would open any more.
    if (keyring.keyring_id, keyring.newest.number) != (parameters.keyring_id, parameters.generation):
        raise Failure("damaged", "the vault gave the slot of another keyring or generation", "ask its operator")
    return keyring


def _wrong(secret: Secret) -> Failure:
    if isinstance(secret, str):
        return Failure("wrong_password", "the password does not open this job", "check for the right job and computer")
    return Failure("wrong_password", "the recovery code does not open this job", OTHER_CODE_HINT)
