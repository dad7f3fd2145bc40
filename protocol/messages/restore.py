"""Restores: what a password is stretched with, and what its proof opens."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import SEALED_KEYS_MAX, SLOTS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message


class SlotParameters(Message, frozen=True):
    slot_id: fields.Id
    kind: Annotated[int, Meta(ge=1, le=2)]
    memory_kib: fields.Count
    passes: fields.Count
    lanes: fields.Count
    salt: fields.Id


class RestoreParametersRequest(Message, frozen=True):
    computer: fields.Name | None
    job: fields.Name


class RestoreParametersAnswer(Message, frozen=True):
    job_id: fields.Id
    computer_id: fields.Id
    keyring_id: fields.Id
    slots: Annotated[list[SlotParameters], Meta(max_length=SLOTS_MAX)]
    safesets_newest: fields.Count


class RestoreOpenRequest(Message, frozen=True):
    computer: fields.Name | None
    job: fields.Name
    slot_id: fields.Id
    proof: fields.Hash
    sequence: fields.Count


class RestoreOpenAnswer(Message, frozen=True):
    """An empty payload, and a length of 0 of the companion, stand for a record that is damaged or out of reach."""

    ticket: fields.Id
    slots: Annotated[list[fields.Slot], Meta(min_length=1, max_length=2)]
    root: fields.Root
    payload: fields.Payload
    countersignature: fields.Signature
    vault_time_ns: fields.Nanoseconds
    run_keys: Annotated[list[fields.KeyPair], Meta(max_length=SEALED_KEYS_MAX)]
    lengths: Annotated[list[fields.LengthOrNothing], Meta(min_length=2, max_length=2)]
    damaged: bool = False
