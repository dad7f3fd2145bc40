"""The job secret: what the creator of a job sends to one agent, once: password and recovery code to make the keyring
from, the agent's part of a newer generation of it, or a restore that the agent is to carry out.

Sealed to the agent's key and signed by the creator's: whoever could only seal could give an agent keys of his.
"""

import os
import struct
from dataclasses import dataclass, field

from tools.client.agent_key import AgentKey
from tools.client.creator_key import (
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    CreatorKey,
    creator_fingerprint,
    is_signed,
)
from tools.client.fingerprint import FINGERPRINT_BYTES
from tools.client.job_definition import JobAddress
from tools.client.kem import KEM_HYBRID, open_sealed, seal
from tools.client.new_keys import NewKeys
from tools.client.record_format import IntegrityError
from tools.client.recovery_code import CODE_BYTES
from tools.client.restore_order import RestoreOrder
from tools.client.strict_msgpack import elements, pack, sized, typed, unpack_array

_HEADER = struct.Struct("<4sBBBB16s16s16s16s20sI")
_BOUND_BYTES = 92
_MAGIC = b"SSM1"
_VERSION = 1
_PURPOSE_MAKE_KEYRING = 1
_PURPOSE_NEW_KEYS = 2
_PURPOSE_RESTORE = 3
_LABEL = b"safeset job secret v1"
_SIGNATURE_LABEL = b"safeset job secret signature v1"
_SIGNED_TAIL_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class JobSecret:
    """What the keyring's slots are made from; no recovery code where its creator wanted none."""

    password: str = field(repr=False)
    recovery_code: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenedSecret:
    """A job secret and the id of its message: the agent remembers it and accepts no message twice."""

    message_id: bytes
    secret: JobSecret


@dataclass(frozen=True, slots=True)
class OpenedKeys:
    """The same of keys for the agent of a job whose keyring is there."""

    message_id: bytes
    keys: NewKeys


@dataclass(frozen=True, slots=True)
class OpenedOrder:
    """The same of a restore that a computer is to carry out."""

    message_id: bytes
    order: RestoreOrder


@dataclass(frozen=True, slots=True)
class Recipient:
    """The agent whose key was confirmed: its sealing key, and the fingerprint (20 bytes) over both its keys."""

    sealing_public: bytes
    fingerprint: bytes


def seal_job_secret(secret: JobSecret, address: JobAddress, agent: Recipient, creator: CreatorKey) -> bytes:
    plaintext = pack([secret.password, secret.recovery_code])
    return _seal(_PURPOSE_MAKE_KEYRING, plaintext, address, agent, creator)


def seal_new_keys(keys: NewKeys, address: JobAddress, agent: Recipient, creator: CreatorKey) -> bytes:
    return _seal(_PURPOSE_NEW_KEYS, keys.encode(), address, agent, creator)


def seal_restore_order(order: RestoreOrder, address: JobAddress, agent: Recipient, creator: CreatorKey) -> bytes:
    """`address` names the computer that is to restore, which may be another one than the job's."""
    return _seal(_PURPOSE_RESTORE, order.encode(), address, agent, creator)


def open_job_secret(message: bytes, address: JobAddress, agent_key: AgentKey, creator: bytes) -> OpenedSecret:
    """The secret; IntegrityError when the message is damaged, is for another job, purpose or agent, or not signed by
    the key with the fingerprint `creator`.
    """
    message_id, plaintext = _open(_PURPOSE_MAKE_KEYRING, message, address, agent_key, creator)
    return OpenedSecret(message_id, _decode(plaintext))


def open_new_keys(message: bytes, address: JobAddress, agent_key: AgentKey, creator: bytes) -> OpenedKeys:
    """The same of new keys."""
    message_id, plaintext = _open(_PURPOSE_NEW_KEYS, message, address, agent_key, creator)
    return OpenedKeys(message_id, NewKeys.decode(plaintext))


def open_restore_order(message: bytes, address: JobAddress, agent_key: AgentKey, creator: bytes) -> OpenedOrder:
    """The same of a restore order."""
    message_id, plaintext = _open(_PURPOSE_RESTORE, message, address, agent_key, creator)
    return OpenedOrder(message_id, RestoreOrder.decode(plaintext))


def _seal(purpose: int, plaintext: bytes, address: JobAddress, agent: Recipient, creator: CreatorKey) -> bytes:
    fingerprint = agent.fingerprint
    if len(fingerprint) != FINGERPRINT_BYTES:
        raise ValueError(f"a fingerprint has {FINGERPRINT_BYTES} bytes, not {len(fingerprint)}")
    ids = (address.account_id, address.computer_id, address.job_id)
    if any(len(id) != 16 for id in ids):
        raise ValueError("the ids of account, computer and job have 16 bytes each")
    head = _HEADER.pack(
        _MAGIC, _VERSION, KEM_HYBRID, purpose, 0, *ids, os.urandom(16), fingerprint, 0,
    )[:_BOUND_BYTES]  # fmt: skip
    sealed = seal(KEM_HYBRID, agent.sealing_public, plaintext, _LABEL + head)
    message = head + struct.pack("<I", len(sealed)) + sealed
    return message + creator.public_key + creator.sign(_SIGNATURE_LABEL + message)


def _open(wanted: int, message: bytes, address: JobAddress, agent_key: AgentKey, creator: bytes) -> tuple[bytes, bytes]:
    """Message id and plaintext."""
    if len(message) < _HEADER.size + _SIGNED_TAIL_BYTES:
        raise IntegrityError(f"the job secret has {len(message)} bytes, that is too short")
    message = _signed_part(message, creator)
    magic, version, kem, purpose, reserved, account_id, computer_id, job_id, message_id, fingerprint, length = (
        _HEADER.unpack_from(message)
    )
    if (magic, version, kem, purpose, reserved) != (_MAGIC, _VERSION, KEM_HYBRID, wanted, 0):
        raise IntegrityError(
            f"the job secret's magic {magic!r}, version {version}, KEM {kem} or purpose {purpose} is not one for this"
        )
    if JobAddress(account_id, computer_id, job_id) != address:
        raise IntegrityError("the job secret is for another account, computer or job")
    if fingerprint != agent_key.fingerprint:
        raise IntegrityError("the job secret is sealed to another agent key: create the job again for this agent")
    if length != len(message) - _HEADER.size:
        raise IntegrityError(f"the job secret's sealed_length {length} does not fit its {len(message)} bytes")
    info = _LABEL + message[:_BOUND_BYTES]
    plaintext = open_sealed(KEM_HYBRID, agent_key.sealing_private, message[_HEADER.size :], info)
    return message_id, plaintext


def _signed_part(message: bytes, creator: bytes) -> bytes:
    """The message without key and signature, after both were checked: nothing else of it was looked at before."""
    signed, tail = message[:-_SIGNED_TAIL_BYTES], message[-_SIGNED_TAIL_BYTES:]
    creator_key, signature = tail[:PUBLIC_KEY_BYTES], tail[PUBLIC_KEY_BYTES:]
    if creator_fingerprint(creator_key) != creator:
        raise IntegrityError("the job secret is signed by another creator than this agent's")
    if not is_signed(creator_key, signature, _SIGNATURE_LABEL + signed):
        raise IntegrityError("the job secret's signature does not hold")
    return signed


def _decode(plaintext: bytes) -> JobSecret:
    password, code = elements(unpack_array(plaintext, "job secret"), 2, "job secret")
    return JobSecret(
        typed(password, str, "password"), None if code is None else sized(code, CODE_BYTES, "recovery code")
    )
