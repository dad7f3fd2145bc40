"""The keyring of a job, as far as the vault may know it."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import SLOTS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message


class SlotUpload(Message, frozen=True):
    slot: fields.Slot
    proof_hash: fields.Hash


class KeyringCreateRequest(Message, frozen=True):
    job_id: fields.Id
    keyring_id: fields.Id
    generation: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    kem: Annotated[int, Meta(ge=1, le=2)]
    public_key: Annotated[bytes, Meta(min_length=32, max_length=1216)]
    minimum_suite: Annotated[int, Meta(ge=1, le=2)]
    signing_key: fields.SigningKey
    slots: Annotated[list[SlotUpload], Meta(min_length=1, max_length=SLOTS_MAX)]


class KeyringCreateAnswer(Message, frozen=True):
    pass
