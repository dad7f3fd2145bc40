"""A keyring with a second generation, whose minimum suite and signing key are others, opens what was before."""

import os
import struct
from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.messages import SlotUpload
from tests.tools.agent.conftest import JOB_ID, PASSWORD, Site
from tests.tools.agent.forging import GENERATION, SEQUENCE, forged
from tools.client.failure import Failure
from tools.client.kem import KEM_HYBRID, generate_key_pair
from tools.client.keyring import Generation, Keyring, SigningKey, Unattended, signing_public_key
from tools.client.slot import SlotParameters, create_password_slot, derive_keys, open_slot

NEWER_SEED = b"\x05" * 32


def keyring_in(slot: bytes) -> Keyring:
    parameters = SlotParameters(slot[8:24], slot[5], *struct.unpack("<III", slot[44:56]), slot[56:72])
    return open_slot(slot, derive_keys(PASSWORD, parameters))


@pytest.fixture
async def rotated(site: Site) -> Site:
    """One safeset in suite 1 of the first generation, then a keyring whose second one takes suite 2 alone."""
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    assert site.vault.keyring is not None
    keyring = keyring_in(site.vault.keyring.slots[0].slot)
    pair, first = generate_key_pair(KEM_HYBRID), keyring.newest
    second = Generation(2, KEM_HYBRID, pair.private_key, pair.public_key, first.id_key, first.chunker_seed, 2)
    signing = (*keyring.signing, SigningKey(JOB_ID, 2, NEWER_SEED))
    keyring = replace(keyring, generations=(first, second), signing=signing)
    made = create_password_slot(keyring, PASSWORD)
    slots = [SlotUpload(made.slot, made.proof_hash)]
    site.vault.keyring = msgspec.structs.replace(
        site.vault.keyring, slots=slots, signing_key=signing_public_key(NEWER_SEED)
    )
    site.state.job(JOB_ID).save_unattended(Unattended.of(keyring, JOB_ID).encode())
    return site


def sign_again(site: Site, seed: bytes, generation: int) -> None:
    root, payload = site.vault.roots[0]
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    site.vault.roots[0] = forged(root, signer, GENERATION, struct.pack("<I", generation)), payload


async def test_a_safeset_from_before_a_higher_minimum_restores(rotated: Site) -> None:
    await rotated.restore()
    assert (rotated.restored_source / "file").read_bytes() == b"content"


@pytest.mark.parametrize("seed", [NEWER_SEED, os.urandom(32)], ids=["newer", "foreign"])
async def test_an_older_root_is_not_taken_with_another_key(rotated: Site, seed: bytes) -> None:
    sign_again(rotated, seed, 1)
    with pytest.raises(Failure, match="not signed by the job's key") as caught:
        await rotated.restore()
    assert caught.value.exit_code == 9


async def test_the_older_key_signs_nothing_of_the_newer_generation(rotated: Site) -> None:
    assert rotated.vault.keyring is not None
    old_seed = keyring_in(rotated.vault.keyring.slots[0].slot).signing_seed(JOB_ID, 1)
    sign_again(rotated, old_seed, 2)
    with pytest.raises(Failure, match="not signed by the job's key"):
        await rotated.restore()


async def test_a_root_below_the_minimum_suite_of_its_generation_is_not_opened(rotated: Site) -> None:
    """Whoever holds the newer signing key signs a root of suite 1 under a generation that takes suite 2 alone."""
    sign_again(rotated, NEWER_SEED, 2)
    rotated.state.job(JOB_ID).head_path.unlink()
    with pytest.raises(Failure, match="suite 1 is below the minimum"):
        await rotated.restore()


async def test_a_new_run_is_sealed_to_the_newer_generation_and_takes_its_suite_alone(rotated: Site) -> None:
    with pytest.raises(Failure, match="suite 1 is below 2"):
        await rotated.back_up()
    rotated.define(suite=2)
    await rotated.back_up()
    root = rotated.vault.roots[1][0]
    assert (root[GENERATION : GENERATION + 4], root[SEQUENCE]) == (struct.pack("<I", 2), 2)
    await rotated.restore(sequence=2)
    assert (rotated.restored_source / "file").read_bytes() == b"content"
