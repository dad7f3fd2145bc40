"""Keyrings: as the agent made them, and as people change the slots that they lie in."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import keyring_slots, keyrings
from vaultd.operations.rotation import JobKeys, Rotation
from vaultd.server import answers
from vaultd.server.request import Request


async def create(request: Request) -> m.KeyringCreateAnswer:
    message: m.KeyringCreateRequest = request.message
    new = keyrings.NewKeyring(
        job_id=message.job_id,
        keyring_id=message.keyring_id,
        generation=message.generation,
        kem=message.kem,
        public_key=message.public_key,
        minimum_suite=message.minimum_suite,
        signing_key=message.signing_key,
        slots=_new_slots(message.slots),
    )
    await offload.write(keyrings.create, request.vault, request.identity, new)
    return m.KeyringCreateAnswer()


async def parameters(request: Request) -> m.KeyringParametersAnswer:
    message: m.KeyringParametersRequest = request.message
    found = await offload.read(keyring_slots.parameters, request.vault, request.identity, message.computer, message.job)
    slots = [answers.answer(slot, m.SlotParameters) for slot in found.slots]
    jobs = [answers.answer(job, m.KeyringJob) for job in found.jobs]
    return answers.answer(found, m.KeyringParametersAnswer, slots=slots, jobs=jobs)


async def open_slot(request: Request) -> m.KeyringOpenAnswer:
    message: m.KeyringOpenRequest = request.message
    slot = (message.computer, message.job, message.slot_id, message.proof)
    return m.KeyringOpenAnswer(await offload.read(keyring_slots.open_slot, request.vault, request.identity, *slot))


async def change_slots(request: Request) -> m.KeyringSlotsAnswer:
    message: m.KeyringSlotsRequest = request.message
    change = slot_change(message.change)
    await offload.write(
        keyring_slots.change_slots, request.vault, request.identity, message.computer, message.job, change
    )
    return m.KeyringSlotsAnswer()


def slot_change(asked: m.SlotChange) -> keyring_slots.SlotChange:
    return keyring_slots.SlotChange(
        asked.keyring_id, asked.slot_id, asked.proof, _new_slots(asked.slots), tuple(asked.removed),
        _rotation(asked.rotation),
    )  # fmt: skip


def _rotation(sent: m.Rotation | None) -> Rotation | None:
    if sent is None:
        return None
    jobs = tuple(JobKeys(one.job_id, one.signing_key, one.secret) for one in sent.jobs)
    return Rotation(sent.generation, sent.kem, sent.public_key, sent.minimum_suite, jobs)


def _new_slots(sent: list[m.SlotUpload]) -> tuple[keyrings.NewSlot, ...]:
    return tuple(keyrings.NewSlot(slot.slot, slot.proof_hash) for slot in sent)
