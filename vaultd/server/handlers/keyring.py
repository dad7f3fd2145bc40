"""Keyrings, as the agent made them."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import keyrings
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
        slots=tuple(keyrings.NewSlot(slot.slot, slot.proof_hash) for slot in message.slots),
    )
    await offload.write(keyrings.create, request.vault, request.identity, new)
    return m.KeyringCreateAnswer()
