"""The keyring of a job, as far as the vault may know it."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import KEYRING_JOBS_MAX, SLOTS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message
from protocol.messages.restore import SlotParameters


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


class KeyringJob(Message, frozen=True):
    """A job that the keyring is of, and that was not removed."""

    job_id: fields.Id
    computer: fields.Text
    job: fields.Name
    protected_bytes: fields.Count


class KeyringParametersRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class KeyringParametersAnswer(Message, frozen=True):
    job_id: fields.Id
    keyring_id: fields.Id
    generation: fields.Count
    slots: Annotated[list[SlotParameters], Meta(max_length=SLOTS_MAX)]
    jobs: Annotated[list[KeyringJob], Meta(max_length=KEYRING_JOBS_MAX)]


class KeyringOpenRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    slot_id: fields.Id
    proof: fields.Hash


class KeyringOpenAnswer(Message, frozen=True):
    slots: Annotated[list[fields.Slot], Meta(min_length=1, max_length=2)]


class JobKeys(Message, frozen=True):
    """Of one job: what verifies its roots from the new generation on, and its agent's part, sealed to that."""

    job_id: fields.Id
    signing_key: fields.SigningKey
    secret: fields.Secret


class Rotation(Message, frozen=True):
    """A new generation, for every job of the keyring that was not removed."""

    generation: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    kem: Annotated[int, Meta(ge=1, le=2)]
    public_key: Annotated[bytes, Meta(min_length=32, max_length=1216)]
    minimum_suite: Annotated[int, Meta(ge=1, le=2)]
    jobs: Annotated[list[JobKeys], Meta(min_length=1, max_length=KEYRING_JOBS_MAX)]


class SlotChange(Message, frozen=True):
    """`slot_id` and `proof` are of the slot that the keyring was opened with; the slots `removed` go."""

    keyring_id: fields.Id
    slot_id: fields.Id
    proof: fields.Hash
    slots: Annotated[list[SlotUpload], Meta(min_length=1, max_length=SLOTS_MAX)]
    removed: Annotated[list[fields.Id], Meta(max_length=SLOTS_MAX)]
    rotation: Rotation | None = None


class KeyringJoin(Message, frozen=True):
    """The keyring that a new job shares: slots that take the place of all, and what verifies the roots of the job."""

    change: SlotChange
    signing_key: fields.SigningKey


class KeyringSlotsRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    change: SlotChange


class KeyringSlotsAnswer(Message, frozen=True):
    pass
