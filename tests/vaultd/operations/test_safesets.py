"""Commits: a safeset follows the head, is signed by its job, and uses only what is durable here."""

import os
import struct
from collections.abc import Sequence

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.vaultd.operations.sealing import BLOCK, DATA, companion, companion_body, header, id_of
from tests.vaultd.operations.small_site import BackedUp, Site, batch
from vaultd.errors import BadRequest, Conflict, NotFound, VaultError
from vaultd.operations import ledger, safesets, upload
from vaultd.operations.safesets import Committed
from vaultd.operations.summaries import SafesetSummary
from vaultd.operations.vault import Vault
from vaultd.records import Identity


def stored_leaf(site: Site, backed_up: BackedUp, count: int = 3) -> tuple[bytes, bytes]:
    chunks = [backed_up.sealer.record(DATA, os.urandom(50)) for _ in range(count)]
    top = backed_up.sealer.leaf(chunks)
    site.upload(backed_up, *chunks, *top)
    return top


def refused(
    site: Site, backed_up: BackedUp, top: tuple[bytes, bytes], kind: type[VaultError], message: str, **changed: object
) -> None:
    payload = backed_up.sealer.payload(top)
    with pytest.raises(kind, match=message):
        site.commit(backed_up, backed_up.sealer.root(top, payload, **changed), payload)
    identity = backed_up.agent.identity
    assert listed_safesets(site.vault, identity, identity.name, "home") == []


def commit_leaf(site: Site, backed_up: BackedUp, **changed: object) -> bytes:
    """The root of a new safeset."""
    top = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(top)
    root = backed_up.sealer.root(top, payload, **changed)
    site.commit(backed_up, root, payload)
    return root


def test_a_safeset_is_countersigned_with_the_vaults_time(site: Site) -> None:
    backed_up = site.ready()
    top = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(top)
    root = backed_up.sealer.root(top, payload, new_bytes=12345)
    committed = site.commit(backed_up, root, payload)
    assert (committed.sequence, committed.time_ns) == (1, site.clock.now_ns())
    signed = b"safeset countersignature v1" + blake3(root).digest() + site.made.vault_id
    signed += struct.pack("<q", committed.time_ns)
    Ed25519PublicKey.from_public_bytes(site.vault.public_key_bytes).verify(committed.countersignature, signed)
    (listed,) = listed_safesets(site.vault, backed_up.agent.identity, "laptop", "home")
    assert (listed.number, listed.complete, listed.files, listed.new_bytes) == (1, True, 1, 12345)
    assert (listed.root_hash, listed.replicated_at_ns, listed.damaged) == (blake3(root).digest(), None, False)
    assert (listed.time_ns, listed.retention) == (1_700_000_000, "daily")


def listed_safesets(vault: Vault, identity: Identity, computer: str, job: str) -> list[SafesetSummary]:
    page = safesets.list_page(vault, identity, computer, job, None, 100)
    assert page.next is None
    return page.safesets


def test_safesets_come_in_pages(site: Site) -> None:
    backed_up = site.ready()
    previous = bytes(32)
    for sequence in range(1, 6):
        if sequence > 1:
            site.begin(backed_up, base=previous)
        previous = blake3(commit_leaf(site, backed_up, sequence=sequence, previous=previous)).digest()
    for count in (1, 2, 4, 5, 6):
        numbers: list[int] = []
        after, pages = None, 0
        while True:
            page = safesets.list_page(site.vault, backed_up.agent.identity, "laptop", "home", after, count)
            assert 0 < len(page.safesets) <= count
            numbers += [one.number for one in page.safesets]
            pages += 1
            if page.next is None:
                break
            after = page.next
        assert numbers == [1, 2, 3, 4, 5]
        assert pages == -(-5 // count)


def test_safesets_form_a_chain(site: Site) -> None:
    backed_up = site.ready()
    first = commit_leaf(site, backed_up)
    begun = site.begin(backed_up, base=blake3(first).digest())
    assert (begun.base_known, begun.head_sequence, begun.head_hash) == (True, 1, blake3(first).digest())
    commit_leaf(site, backed_up, sequence=2, previous=blake3(first).digest())
    numbers = [one.number for one in listed_safesets(site.vault, backed_up.agent.identity, "laptop", "home")]
    assert numbers == [1, 2]


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"sequence": 2}, Conflict, "sequence 2 does not follow the head 0"),
        ({"sequence": 0}, Conflict, "sequence 0 does not follow the head 0"),
        ({"previous": b"p" * 32}, Conflict, "previous is not the root hash of safeset 0"),
        ({"timeline": 2}, Conflict, "timeline 2 is not the job's 1"),
        ({"signer": Ed25519PrivateKey.generate()}, BadRequest, "signature is not that of the job's signing key"),
        ({"job": bytes(16)}, BadRequest, "job is not that of the run"),
        ({"run": bytes(16)}, BadRequest, "run is not that of the run"),
        ({"computer": bytes(16)}, BadRequest, "computer is not that of the job"),
        ({"keyring": bytes(16)}, BadRequest, "keyring is not that of the root"),
        ({"generation": 2}, BadRequest, "generation is not that of the run"),
        ({"payload_hash": bytes(32)}, BadRequest, "payload_hash is not the hash of the payload"),
        ({"complete": 2}, BadRequest, "complete must be 0 or 1"),
        ({"suite": 7}, BadRequest, "suite 7 is unknown"),
        ({"files": 1 << 61}, BadRequest, "files [0-9]+ is not plausible"),
        ({"new_chunks": 100, "new_bytes": 100}, BadRequest, "new_bytes 100 is less than 100 records have"),
        ({"files": 0}, BadRequest, "protected_bytes must be 0 without files"),
    ],
)
def test_a_root_that_does_not_fit_is_refused(
    site: Site, changed: dict[str, object], kind: type[VaultError], message: str
) -> None:
    backed_up = site.ready()
    refused(site, backed_up, stored_leaf(site, backed_up), kind, message, **changed)


def test_a_root_that_was_altered_after_signing_is_refused(site: Site) -> None:
    backed_up = site.ready()
    top = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(top)
    root = bytearray(backed_up.sealer.root(top, payload))
    root[232] ^= 2
    with pytest.raises(BadRequest, match="signature is not that of the job"):
        site.commit(backed_up, bytes(root), payload)


@pytest.mark.parametrize("left_out", ["chunk", "block", "companion"])
def test_a_missing_record_refuses_the_safeset_and_is_named(site: Site, left_out: str) -> None:
    backed_up = site.ready()
    chunks = [backed_up.sealer.record(DATA, os.urandom(50)) for _ in range(3)]
    block, beside = backed_up.sealer.leaf(chunks)
    missing = {"chunk": chunks[1], "block": block, "companion": beside}[left_out]
    site.upload(backed_up, *[record for record in (*chunks, block, beside) if record != missing])
    refused(site, backed_up, (block, beside), Conflict, f"1 records .* or damaged, the first is {id_of(missing).hex()}")
    site.upload(backed_up, missing)
    payload = backed_up.sealer.payload((block, beside))
    assert site.commit(backed_up, backed_up.sealer.root((block, beside), payload), payload).sequence == 1


def test_gaps_deep_in_the_tree_are_counted(site: Site) -> None:
    backed_up = site.ready()
    sealer = backed_up.sealer
    chunks = [sealer.record(DATA, os.urandom(50)) for _ in range(4)]
    leaves = [sealer.leaf([chunk]) for chunk in chunks]
    middle = [sealer.inner(1, leaves[:2]), sealer.inner(1, leaves[2:])]
    top = sealer.inner(2, middle)
    everything = [*chunks, *[record for pair in (*leaves, *middle, top) for record in pair]]
    absent = {chunks[3], leaves[0][0]}
    site.upload(backed_up, *[record for record in everything if record not in absent])
    refused(site, backed_up, top, Conflict, "2 records that the safeset uses are missing", level=2)
    site.upload(backed_up, *absent)
    payload = sealer.payload(top, 2)
    assert site.commit(backed_up, sealer.root(top, payload, level=2), payload).sequence == 1


def test_a_tree_with_a_wrong_level_is_refused(site: Site) -> None:
    backed_up = site.ready()
    leaf = stored_leaf(site, backed_up)
    refused(site, backed_up, leaf, BadRequest, "has level 0, its parent says 1", level=1)
    sealer = backed_up.sealer
    body = companion_body(2, [id_of(leaf[0])], [id_of(leaf[1])])
    beside = companion(sealer.keyring_id, body)
    block = sealer.record(BLOCK, b"top")
    site.upload(backed_up, beside, block)
    refused(site, backed_up, (block, beside), BadRequest, "has level 0, its parent says 1", level=2)


def test_a_chunk_named_as_companion_is_refused(site: Site) -> None:
    backed_up = site.ready()
    block, _ = stored_leaf(site, backed_up)
    refused(site, backed_up, (block, block), BadRequest, "is not a companion record")


def shared_tree(site: Site, backed_up: BackedUp, leaves: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    top = backed_up.sealer.inner(1, list(leaves))
    site.upload(backed_up, *top)
    return top


def test_what_the_base_holds_is_not_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    backed_up = site.ready()
    leaves = [stored_leaf(site, backed_up) for _ in range(3)]
    top = shared_tree(site, backed_up, leaves)
    payload = backed_up.sealer.payload(top, 1)
    first = backed_up.sealer.root(top, payload, level=1)
    site.commit(backed_up, first, payload)
    site.begin(backed_up, base=blake3(first).digest())
    new = stored_leaf(site, backed_up)
    top = shared_tree(site, backed_up, [*leaves, new])
    read: list[bytes] = []
    real = site.vault.store.read
    store_class = type(site.vault.store)
    monkeypatch.setattr(store_class, "read", lambda self, place, id_: read.append(id_) or real(place, id_))
    payload = backed_up.sealer.payload(top, 1)
    second = backed_up.sealer.root(top, payload, level=1, sequence=2, previous=blake3(first).digest())
    site.commit(backed_up, second, payload)
    assert id_of(new[1]) in read
    assert not {id_of(beside) for _, beside in leaves} & set(read)


def test_a_base_with_a_gap_is_noticed_after_a_restart(site: Site) -> None:
    """Records can get lost while the vault is down; the next run then offers everything and fills the gap."""
    backed_up = site.ready()
    leaf = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(leaf)
    first = backed_up.sealer.root(leaf, payload)
    site.commit(backed_up, first, payload)
    hash_ = blake3(first).digest()
    with site.vault.store._index._environment.begin(write=True) as transaction:
        database = site.vault.store._index._records
        kept = {id_of(leaf[0]), id_of(leaf[1]), id_of(payload)}
        lost = [key for key, _ in transaction.cursor(database) if key[4:] not in kept]
        transaction.delete(lost[0], db=database)
    site.reopen()
    assert not site.begin(backed_up, base=hash_).base_known
    payload = backed_up.sealer.payload(leaf)
    root = backed_up.sealer.root(leaf, payload, sequence=2, previous=hash_)
    with pytest.raises(Conflict, match="1 records that the safeset uses are missing"):
        site.commit(backed_up, root, payload)


def test_an_unknown_base_is_not_known(site: Site) -> None:
    backed_up = site.ready()
    assert not site.begin(backed_up, base=b"x" * 32).base_known


def test_a_lost_answer_is_given_again(site: Site) -> None:
    backed_up = site.ready()
    identity = backed_up.agent.identity
    top = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(top)
    root = backed_up.sealer.root(top, payload)
    committed = site.commit(backed_up, root, payload)
    site.clock.advance(60)
    hash_ = blake3(root).digest()
    assert safesets.find(site.vault, identity, backed_up.sealer.job_id, hash_) == committed
    site.end(backed_up)
    again = safesets.prepare(site.vault, identity, backed_up.sealer.run_id, root, payload)
    assert isinstance(again, Committed)
    assert again == committed
    with pytest.raises(NotFound, match=f"no safeset with root hash {'78' * 32}"):
        safesets.find(site.vault, identity, backed_up.sealer.job_id, b"x" * 32)


def test_of_two_prepared_roots_one_becomes_the_safeset(site: Site) -> None:
    backed_up = site.ready()
    identity, run_id = backed_up.agent.identity, backed_up.sealer.run_id
    top = stored_leaf(site, backed_up)
    payloads = [backed_up.sealer.payload(top) for _ in range(2)]
    prepared = [
        safesets.prepare(site.vault, identity, run_id, backed_up.sealer.root(top, payload), payload)
        for payload in payloads
    ]
    safesets.commit(site.vault, identity, prepared[0])
    with pytest.raises(Conflict, match="sequence 1 does not follow the head 1"):
        safesets.commit(site.vault, identity, prepared[1])


def test_a_run_that_ended_commits_nothing(site: Site) -> None:
    backed_up = site.ready()
    top = stored_leaf(site, backed_up)
    site.end(backed_up)
    refused(site, backed_up, top, Conflict, "has ended as failed")


def test_a_payload_under_the_key_of_another_run_is_refused(site: Site) -> None:
    backed_up = site.ready()
    top = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(top)
    site.end(backed_up)
    site.begin(backed_up)
    with pytest.raises(BadRequest, match="payload: key [0-9a-f]{32} is not known for this run"):
        site.commit(backed_up, backed_up.sealer.root(top, payload), payload)


def test_the_payload_is_checked_like_any_record(site: Site) -> None:
    backed_up = site.ready()
    sealer = backed_up.sealer
    top = stored_leaf(site, backed_up)
    good = sealer.payload(top)
    unknown = header(b"SSR1", 1, 4, (sealer.keyring_id, os.urandom(16), id_of(good)), len(good) - 84) + good[84:]
    cases = {
        "payload: type 1 is not that of a root payload": sealer.record(DATA, b"x"),
        "payload: key [0-9a-f]{32} is not known": unknown,
        "payload: checksum": good[:80] + bytes(4) + good[84:],
        "payload: body_length": good[:-1],
        "payload: [0-9]+ bytes are more than": good + bytes(400_000),
    }
    for message, payload in cases.items():
        with pytest.raises(BadRequest, match=message):
            site.commit(backed_up, sealer.root(top, payload), payload)


def test_a_payload_that_would_hide_behind_another_is_refused(site: Site) -> None:
    backed_up = site.ready()
    sealer = backed_up.sealer
    top = stored_leaf(site, backed_up)
    first, second = sealer.record(4, b"same"), sealer.record(4, b"same")
    assert first != second
    root = sealer.root(top, first, complete=0)
    site.commit(backed_up, root, first)
    with pytest.raises(Conflict, match=f"another record with id {id_of(second).hex()} is here"):
        site.commit(backed_up, sealer.root(top, second, sequence=2, previous=blake3(root).digest()), second)


def test_a_payload_that_would_hide_behind_a_waiting_record_is_refused(site: Site) -> None:
    """An upload that is not committed yet holds a record with the payload's id: append would drop the payload."""
    backed_up = site.ready()
    sealer, identity = backed_up.sealer, backed_up.agent.identity
    top = stored_leaf(site, backed_up)
    payload = sealer.payload(top)
    root = sealer.root(top, payload)
    body = os.urandom(100)
    hiding = header(b"SSR1", 1, DATA, (sealer.keyring_id, sealer.key_id, id_of(payload)), len(body)) + body
    facts = upload.facts(site.vault, identity, sealer.run_id)
    upload.append(site.vault, upload.verify(facts, batch(hiding)), identity)
    with pytest.raises(Conflict, match=f"another record with id {id_of(payload).hex()} is here"):
        site.commit(backed_up, root, payload)
    ledger.write(site.vault)
    assert listed_safesets(site.vault, identity, "laptop", "home") == []
    payload = sealer.payload(top)
    assert site.commit(backed_up, sealer.root(top, payload), payload).sequence == 1


def test_provisional_safesets_are_not_the_newest(site: Site) -> None:
    backed_up = site.ready()
    first = commit_leaf(site, backed_up, protected_bytes=5)
    site.begin(backed_up, base=blake3(first).digest())
    commit_leaf(site, backed_up, sequence=2, previous=blake3(first).digest(), complete=0, protected_bytes=9)
    with site.vault.catalog.read() as view:
        job = safesets.access.own_job(view, backed_up.agent.identity, backed_up.sealer.job_id)
        assert safesets.choose(view, job, 0).sequence == 1
        assert safesets.choose(view, job, 2).sequence == 2
        with pytest.raises(NotFound, match="does not have safeset 3"):
            safesets.choose(view, job, 3)
    assert (job.protected_bytes, job.head_sequence) == (5, 2)


def test_safesets_of_others_do_not_exist(site: Site) -> None:
    backed_up = site.ready()
    root = commit_leaf(site, backed_up)
    stranger = site.ready(site.administrator("other"), "desk")
    with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
        listed_safesets(site.vault, stranger.agent.identity, "laptop", "home")
    with pytest.raises(NotFound, match=f"job {backed_up.sealer.job_id.hex()} does not exist"):
        safesets.find(site.vault, stranger.agent.identity, backed_up.sealer.job_id, blake3(root).digest())


def test_a_safeset_is_there_after_a_crash(site: Site) -> None:
    backed_up = site.ready()
    root = commit_leaf(site, backed_up)
    before = safesets.find(site.vault, backed_up.agent.identity, backed_up.sealer.job_id, blake3(root).digest())
    site.crash()
    after = safesets.find(site.vault, backed_up.agent.identity, backed_up.sealer.job_id, blake3(root).digest())
    assert after == before
