"""An agent goes over to the keys of a rotation: sent by its creator, once, and as the continuation of its own."""

import os
import struct
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import KeyringCreateRequest, RunKeyRequest, SlotUpload
from tests.support.creator import Creator
from tests.tools.agent.conftest import ACCOUNT_ID, COMPUTER_ID, JOB_ID, PASSWORD, Site
from tests.tools.agent.forging import GENERATION, agents_own, forged
from tests.tools.agent.keys.test_rotated_keyring import keyring_in
from tools.agent.keys.job_keys import load_job_keys
from tools.agent.run import backup
from tools.agent.state import KnownHead
from tools.client.agent_key import AgentKey
from tools.client.creator_key import CreatorKey
from tools.client.failure import Failure
from tools.client.job_definition import JobAddress
from tools.client.job_secret import JobSecret, Recipient, seal_job_secret, seal_new_keys
from tools.client.keyring import Keyring, Unattended, create_keyring, signing_public_key
from tools.client.new_keys import EarlierGeneration, NewKeys
from tools.client.rotate import join_keyring, rotate_keyring
from tools.client.slot import create_password_slot

ADDRESS = JobAddress(ACCOUNT_ID, COMPUTER_ID, JOB_ID)


def recipient(site: Site) -> Recipient:
    key = AgentKey(site.state.key_path.read_bytes(), site.state.load_sealing_private())
    return Recipient(key.sealing_public, key.fingerprint)


def sealed(site: Site, keys: NewKeys, creator: Creator | None = None, address: JobAddress = ADDRESS) -> bytes:
    return seal_new_keys(keys, address, recipient(site), CreatorKey((creator or site.creator).seed))


def rotate(site: Site, *, new_ids: bool = False) -> Keyring:
    """At the vault: another slot, another key to verify roots with, and the message for the agent."""
    assert site.vault.keyring is not None
    keyring = rotate_keyring(keyring_in(site.vault.keyring.slots[0].slot), [JOB_ID], new_ids=new_ids)
    made = create_password_slot(keyring, PASSWORD)
    signing_key = signing_public_key(keyring.signing_seed(JOB_ID, keyring.newest.number))
    site.vault.keyring = msgspec.structs.replace(
        site.vault.keyring, slots=[SlotUpload(made.slot, made.proof_hash)], signing_key=signing_key
    )
    site.vault.sent_keys = sealed(site, NewKeys.of(keyring, JOB_ID))
    return keyring


async def load(site: Site) -> Unattended:
    identity = site.state.load_identity()
    return await load_job_keys(site.vault, site.state, identity, site.vault.current_job())  # type: ignore[arg-type]


@pytest.fixture
async def three(site: Site) -> Site:
    """Three safesets of the first generation."""
    (site.source / "file").write_bytes(os.urandom(100_000))
    for _ in range(3):
        await site.back_up()
    return site


def know(site: Site, sequence: int) -> None:
    job_state = site.state.job(JOB_ID)
    if sequence == 0:
        job_state.head_path.unlink()
        return
    root = site.vault.roots[sequence - 1][0]
    job_state.save_head(KnownHead(timeline=1, sequence=sequence, root_hash=blake3(root).hexdigest(), generation=1))


def generations(roots: Iterable[tuple[bytes, bytes]]) -> list[int]:
    return [struct.unpack_from("<I", root, GENERATION)[0] for root, _ in roots]


async def test_the_next_run_is_of_the_newer_generation_and_sends_nothing_again(three: Site) -> None:
    keyring = rotate(three)
    stored = {id for id, record in three.vault.records.items() if record[6] == 1}
    done = await three.back_up()
    assert generations(three.vault.roots) == [1, 1, 1, 2]
    assert {id for id, record in three.vault.records.items() if record[6] == 1} == stored
    assert done.sent.content_bytes == 0
    assert await load(three) == Unattended.of(keyring, JOB_ID)
    for sequence in (1, 4):
        await three.restore(sequence=sequence)


async def test_new_ids_send_all_content_again(three: Site) -> None:
    rotate(three, new_ids=True)
    done = await three.back_up()
    assert done.sent.content_bytes == 100_000
    await three.restore(sequence=2)


@pytest.mark.parametrize("known", [0, 1, 2])
async def test_the_chain_is_followed_over_rotations(three: Site, known: int) -> None:
    """Two of them, with safesets between."""
    rotate(three)
    await three.back_up()
    rotate(three)
    await three.back_up()
    assert generations(three.vault.roots) == [1, 1, 1, 2, 3]
    know(three, known)
    assert (await three.back_up()).safeset == 6


@pytest.mark.parametrize("signer", ["newest", "foreign"])
async def test_another_key_signs_nothing_of_an_earlier_generation(three: Site, signer: str) -> None:
    """Not even the newest: whoever stole it later makes no history up."""
    rotate(three)
    await load(three)
    key = agents_own(three) if signer == "newest" else Ed25519PrivateKey.generate()
    root, payload = three.vault.roots[2]
    three.vault.roots[2] = (forged(root, key, GENERATION, struct.pack("<I", 1)), payload)
    know(three, 1)
    with pytest.raises(Failure, match="after safeset 2 is not this agent's: the root is not signed") as caught:
        await three.back_up()
    assert caught.value.exit_code == 9


async def test_the_older_key_signs_nothing_new(three: Site) -> None:
    old = agents_own(three)
    rotate(three)
    await load(three)
    root, payload = three.vault.roots[2]
    three.vault.roots[2] = (forged(root, old, GENERATION, struct.pack("<I", 2)), payload)
    know(three, 1)
    with pytest.raises(Failure, match="the root is not signed by the job's key"):
        await three.back_up()


async def test_a_message_is_taken_once(three: Site) -> None:
    """Also where somebody brings the file with the keys back from an older copy."""
    job_state = three.state.job(JOB_ID)
    older = job_state.load_unattended()
    assert older is not None
    rotate(three)
    assert (await load(three)).generation == 2
    job_state.save_unattended(older)
    assert (await load(three)).generation == 1


async def test_a_message_of_an_earlier_rotation_takes_the_agent_nowhere(three: Site) -> None:
    rotate(three)
    first = three.vault.sent_keys
    rotate(three)
    assert (await load(three)).generation == 3
    three.vault.sent_keys = first
    assert (await load(three)).generation == 3


def other_keyring(site: Site) -> NewKeys:
    return NewKeys.of(rotate_keyring(create_keyring(JOB_ID), [JOB_ID], new_ids=False), JOB_ID)


def without_marks(site: Site) -> NewKeys:
    keys = NewKeys.of(rotate(site), JOB_ID)
    return replace(keys, earlier=())


def with_a_made_up_mark(site: Site) -> NewKeys:
    """Of somebody who has the creator's key and never opened the keyring."""
    keys = NewKeys.of(rotate(site), JOB_ID)
    made_up = EarlierGeneration(1, os.urandom(32), keys.earlier[0].signing_key)
    return replace(keys, earlier=(made_up,))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (other_keyring, "of another keyring"),
        (without_marks, "do not go on from generation 1"),
        (with_a_made_up_mark, "do not go on from generation 1"),
    ],
    ids=["another", "unmarked", "made-up"],
)
async def test_keys_that_do_not_continue_the_agents_own_are_refused(three: Site, make: object, match: str) -> None:
    own = await load(three)
    three.vault.sent_keys = sealed(three, make(three))  # type: ignore[operator]
    with pytest.raises(Failure, match=match) as caught:
        await three.back_up()
    assert caught.value.exit_code == 9
    three.vault.sent_keys = None
    assert await load(three) == own


@pytest.mark.parametrize("wrong", ["creator", "signature", "job", "purpose"])
async def test_a_message_of_or_for_somebody_else_is_refused(three: Site, wrong: str) -> None:
    own, keys = await load(three), NewKeys.of(rotate(three), JOB_ID)
    whole = sealed(three, keys)
    three.vault.sent_keys = {
        "creator": sealed(three, keys, creator=Creator()),
        "signature": whole[:-64] + bytes(64),
        "job": sealed(three, keys, address=JobAddress(ACCOUNT_ID, COMPUTER_ID, b"x" * 16)),
        "purpose": seal_job_secret(
            JobSecret(PASSWORD, None), ADDRESS, recipient(three), CreatorKey(three.creator.seed)
        ),
    }[wrong]
    with pytest.raises(Failure) as caught:
        await load(three)
    assert caught.value.exit_code == 9
    three.vault.sent_keys = None
    assert await load(three) == own


@pytest.mark.parametrize("method", ["_run_key", "_safeset_commit", "_chunk_offer"])
async def test_a_run_that_a_rotation_ends_is_begun_again(
    three: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real = getattr(three.vault, method)
    monkeypatch.setattr(backup, "UNASKED_BYTES", 0)

    def ended(*arguments: object) -> object:
        if three.vault.sent_keys is None:
            (three.source / "file").write_bytes(b"new content")
            rotate(three)
            raise RemoteProtocolError(ErrorCode.conflict, "the run has ended as aborted", "begin a new run")
        return real(*arguments)

    monkeypatch.setattr(three.vault, method, ended)
    (three.source / "file").write_bytes(b"other content")
    done = await three.back_up()
    assert (done.safeset, generations(three.vault.roots)) == (4, [1, 1, 1, 2])
    assert "the job has other keys now" in done.notes[0]


async def test_newer_keys_that_the_vault_cannot_give_are_named(three: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the vault takes runs under the keys that are here, nothing is amiss."""
    three.vault.secret_lost = "damaged"
    assert (await three.back_up()).safeset == 4

    def refuse(*_: object) -> None:
        raise RemoteProtocolError(ErrorCode.conflict, "the keyring has generation 2 by now", "")

    monkeypatch.setattr(three.vault, "_run_key", refuse)
    with pytest.raises(Failure, match="of job 'job' is damaged at the vault") as caught:
        await three.back_up()
    assert "vaultctl keyring password --rotate" in caught.value.hint


async def test_a_conflict_without_newer_keys_stays_one(three: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody cancelled the run just after its begin: it is not begun anew."""
    begun: list[bytes] = []

    def refuse(request: RunKeyRequest, raw: bytes) -> None:
        begun.append(request.run_id)
        three.vault.end_run(request.run_id, "aborted")
        raise RemoteProtocolError(ErrorCode.conflict, "the run has ended as aborted", "begin a new run")

    monkeypatch.setattr(three.vault, "_run_key", refuse)
    with pytest.raises(RemoteProtocolError, match="has ended as aborted"):
        await three.back_up()
    assert len(begun) == 1


async def test_a_state_of_before_goes_on(three: Site) -> None:
    """It has no file with the keys of earlier generations."""
    assert not (three.state.job(JOB_ID).directory / "signers.json").exists()
    know(three, 1)
    assert (await three.back_up()).safeset == 4


# A job that was created with the keyring of others


def join(site: Site, job_id: bytes = JOB_ID) -> Keyring:
    """The vault has the keyring, and this agent nothing yet."""
    keyring = join_keyring(create_keyring(b"o" * 16), job_id)
    made = create_password_slot(keyring, PASSWORD)
    newest = keyring.newest
    site.vault.keyring = KeyringCreateRequest(
        job_id, keyring.keyring_id, 1, newest.kem, newest.public_key, 1,
        signing_public_key(keyring.signing_seed(job_id, 1)), [SlotUpload(made.slot, made.proof_hash)],
    )  # fmt: skip
    site.vault.sent_keys = sealed(site, NewKeys.of(keyring, job_id))
    return keyring


async def test_a_job_with_the_keyring_of_another_begins_with_what_was_sent(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    keyring = join(site)
    await site.back_up()
    site.vault.sent_keys = None
    await site.back_up()
    assert await load(site) == Unattended.of(keyring, JOB_ID)
    await site.restore(sequence=2)
    assert (site.restored_source / "file").read_bytes() == b"content"


async def test_a_job_that_has_keys_takes_no_first_ones(three: Site) -> None:
    """A vault that names another keyring, with a message for it, takes nobody over."""
    own = await load(three)
    kept = three.vault.keyring
    join(three)
    with pytest.raises(Failure, match="another state directory"):
        await three.back_up()
    three.vault.keyring, three.vault.sent_keys = kept, None
    assert await load(three) == own


async def test_first_keys_of_another_keyring_than_the_jobs_are_refused(site: Site) -> None:
    join(site)
    site.vault.sent_keys = sealed(site, NewKeys.of(join_keyring(create_keyring(b"o" * 16), JOB_ID), JOB_ID))
    with pytest.raises(Failure, match="of another keyring than the vault names"):
        await load(site)
