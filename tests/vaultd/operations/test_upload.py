"""Uploads: what the vault can check without keys, it checks before one byte is stored."""

import os
import struct

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import BLOCK, DATA, PAYLOAD, companion, companion_body, header, id_of
from tests.vaultd.operations.small_site import BackedUp, Site, batch
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import ledger, offer, upload
from vaultd.operations.upload import UploadBatch


def offered(site: Site, backed_up: BackedUp, *records: bytes) -> list[bool]:
    """Missing or not, read from the bitmap bit by bit."""
    ids = b"".join(id_of(record) for record in records)
    answer = offer.offer(site.vault, backed_up.agent.identity, backed_up.sealer.run_id, ids)
    bits = [bool(answer.bitmap[at // 8] >> at % 8 & 1) for at in range(len(records))]
    assert answer.missing == sum(bits)
    return bits


def refused(site: Site, backed_up: BackedUp, wrong: UploadBatch, message: str) -> None:
    before = site.vault.store.statistics()
    facts = upload.facts(site.vault, backed_up.agent.identity, backed_up.sealer.run_id)
    with pytest.raises(BadRequest, match=message):
        upload.verify(facts, wrong)
    ledger.write(site.vault)
    assert site.vault.store.statistics().records == before.records


def test_records_are_missing_until_they_are_durable(site: Site) -> None:
    backed_up = site.ready()
    records = [backed_up.sealer.record(DATA, os.urandom(size)) for size in (0, 1, 100, 70_000)]
    assert offered(site, backed_up, *records) == [True] * 4
    identity = backed_up.agent.identity
    facts = upload.facts(site.vault, identity, backed_up.sealer.run_id)
    upload.append(site.vault, upload.verify(facts, batch(*records[:3])), identity)
    assert offered(site, backed_up, *records) == [True] * 4
    ledger.write(site.vault)
    assert offered(site, backed_up, *records) == [False, False, False, True]


def test_a_repeated_record_is_stored_once(site: Site) -> None:
    backed_up = site.ready()
    record = backed_up.sealer.record(DATA, b"same")
    site.upload(backed_up, record, record)
    site.upload(backed_up, record)
    assert site.vault.store.statistics().records == 1


def test_a_bitmap_of_many_ids(site: Site) -> None:
    backed_up = site.ready()
    records = [backed_up.sealer.record(DATA, bytes([number])) for number in range(20)]
    site.upload(backed_up, *records[::3])
    assert offered(site, backed_up, *records) == [number % 3 != 0 for number in range(20)]


def test_a_wrong_cid_stores_nothing_of_the_batch(site: Site) -> None:
    backed_up = site.ready()
    records = [backed_up.sealer.record(DATA, bytes([number])) for number in range(3)]
    good = batch(*records)
    wrong = bytearray(good.cids)
    wrong[70] ^= 1
    refused(site, backed_up, UploadBatch(good.lengths, bytes(wrong), good.records), "record 2 of the batch: cid ")
    flipped = bytearray(good.records)
    flipped[good.lengths[0] + 100] ^= 1
    refused(site, backed_up, UploadBatch(good.lengths, good.cids, bytes(flipped)), "record 1 of the batch: cid ")
    assert offered(site, backed_up, *records) == [True] * 3


def test_lengths_must_fit(site: Site) -> None:
    backed_up = site.ready()
    good = batch(backed_up.sealer.record(DATA, b"1"), backed_up.sealer.record(DATA, b"2"))
    first, second = good.lengths
    for lengths in ([first], [first, second + 1], [first, second, 0], [first + second], []):
        cids = (bytes(good.cids) * 2)[: 32 * len(lengths)]
        refused(site, backed_up, UploadBatch(lengths, cids, good.records), "lengths|body_length|cid")
    refused(site, backed_up, UploadBatch(good.lengths, good.cids[:-1], good.records), "cids: 63 bytes")


def test_what_does_not_belong_to_the_run_is_refused_and_named(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    sealer = backed_up.sealer
    good = sealer.record(DATA, b"x")
    other = site.ready(administrator, "other")
    unknown_key = header(b"SSR1", 1, DATA, (sealer.keyring_id, os.urandom(16), id_of(good)), len(good) - 84)
    foreign = header(b"SSR1", 1, DATA, (other.sealer.keyring_id, sealer.key_id, id_of(good)), len(good) - 84)
    cases = {
        "record 0 of the batch: key [0-9a-f]{32} is not a key of this run": unknown_key + good[84:],
        "record 0 of the batch: keyring [0-9a-f]{32} is not the run's": foreign + good[84:],
        "type 4 is sent with safeset.commit only": sealer.record(PAYLOAD, b"x"),
        "checksum": good[:80] + bytes([good[80] ^ 1]) + good[81:],
        "magic": b"SSP1" + good[4:],
        "is a key of no run|not a key of this run": other.sealer.record(DATA, b"x"),
    }
    for message, record in cases.items():
        refused(site, backed_up, batch(record), message)


@pytest.mark.parametrize(("suite", "smallest"), [(1, 64), (2, 37)])
def test_a_body_that_can_hold_nothing_is_refused(site: Site, suite: int, smallest: int) -> None:
    backed_up = site.ready()
    sealer = backed_up.sealer
    for size in (0, 1, smallest - 1):
        ids = (sealer.keyring_id, sealer.key_id, os.urandom(32))
        record = header(b"SSR1", suite, DATA, ids, size) + bytes(size)
        refused(site, backed_up, batch(record), f"record 0 of the batch: body_length {size} is too small")
    ids = (sealer.keyring_id, sealer.key_id, os.urandom(32))
    site.upload(backed_up, header(b"SSR1", suite, DATA, ids, smallest) + bytes(smallest))


def test_keys_of_an_earlier_run_are_not_this_runs(site: Site) -> None:
    backed_up = site.ready()
    old = backed_up.sealer.record(DATA, b"x")
    site.begin(backed_up)
    refused(site, backed_up, batch(old), "not a key of this run")


def test_companions_must_be_well_formed_and_named_by_their_content(site: Site) -> None:
    backed_up = site.ready()
    keyring_id = backed_up.sealer.keyring_id
    one, two = sorted([os.urandom(32), os.urandom(32)])
    children = struct.pack("<I", 1) + one
    cases = {
        "ids must ascend": struct.pack("<BI", 0, 2) + two + one + struct.pack("<I", 0),
        "none may be there twice": struct.pack("<BI", 0, 2) + one + one + struct.pack("<I", 0),
        "children must be 0 at level 0": struct.pack("<BI", 0, 1) + one + children,
        "count 3 does not fit": struct.pack("<BI", 0, 3) + one + two,
        "children 2 does not fit": struct.pack("<BI", 1, 1) + one + struct.pack("<I", 2) + one,
        "too short": b"\0",
        "count must be 1 or more above level 0": struct.pack("<BI", 1, 0) + struct.pack("<I", 0),
        "level 17": struct.pack("<BI", 17, 1) + one + children,
    }
    for message, body in cases.items():
        refused(site, backed_up, batch(companion(keyring_id, body)), message)
    body = companion_body(0, [one], [])
    renamed = header(b"SSC1", 0, 3, (keyring_id, bytes(16), os.urandom(32)), len(body)) + body
    refused(site, backed_up, batch(renamed), "id of the companion is not the hash")
    foreign = companion(os.urandom(16), body)
    refused(site, backed_up, batch(foreign), "keyring")
    site.upload(backed_up, companion(keyring_id, body))


def test_a_sealed_record_cannot_pass_as_a_companion(site: Site) -> None:
    backed_up = site.ready()
    good = backed_up.sealer.record(BLOCK, b"x")
    body = good[84:]
    clear = header(b"SSR1", 0, DATA, (backed_up.sealer.keyring_id, backed_up.sealer.key_id, bytes(32)), len(body))
    refused(site, backed_up, batch(clear + body), "suite 0")


def test_a_run_that_ended_takes_no_more(site: Site) -> None:
    backed_up = site.ready()
    identity = backed_up.agent.identity
    facts = upload.facts(site.vault, identity, backed_up.sealer.run_id)
    verified = upload.verify(facts, batch(backed_up.sealer.record(DATA, b"x")))
    site.end(backed_up)
    with pytest.raises(Conflict, match="has ended as failed"):
        upload.append(site.vault, verified, identity)


def test_others_neither_see_nor_fill_a_keyring(site: Site) -> None:
    backed_up = site.ready()
    record = backed_up.sealer.record(DATA, b"secret")
    site.upload(backed_up, record)
    stranger = site.ready(site.administrator("other"))
    assert offered(site, stranger, record) == [True]
    with pytest.raises(NotFound):
        upload.facts(site.vault, stranger.agent.identity, backed_up.sealer.run_id)


@pytest.mark.parametrize("size", [31, 33, 32 * 65_537])
def test_an_offer_that_is_not_ids_is_refused(site: Site, size: int) -> None:
    backed_up = site.ready()
    with pytest.raises(BadRequest, match=f"ids: {size} bytes"):
        offer.offer(site.vault, backed_up.agent.identity, backed_up.sealer.run_id, bytes(size))


def test_what_was_durable_is_there_after_a_crash_and_the_rest_is_not(site: Site) -> None:
    backed_up = site.ready()
    durable, lost = backed_up.sealer.record(DATA, b"durable"), backed_up.sealer.record(DATA, b"lost")
    site.upload(backed_up, durable)
    identity = backed_up.agent.identity
    facts = upload.facts(site.vault, identity, backed_up.sealer.run_id)
    upload.append(site.vault, upload.verify(facts, batch(lost)), identity)
    site.crash()
    assert offered(site, backed_up, durable, lost) == [False, True]
    (location,) = site.vault.store.locate(backed_up.sealer.keyring_id, [id_of(durable)])
    assert location is not None
    assert blake3(site.vault.store.read(location, id_of(durable))).digest() == blake3(durable).digest()


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (4, 2, "version 2 is unknown"),
        (5, 3, "suite 3 is unknown"),
        (6, 9, "type 9 is unknown"),
        (7, 1, "flags 1 are unknown"),
    ],
)
def test_what_this_version_does_not_know_is_not_taken(site: Site, at: int, value: int, sentence: str) -> None:
    """So nothing that an agent sends can be what a later version wrote, at which a start stops."""
    backed_up = site.ready()
    good = backed_up.sealer.record(DATA, b"x")
    head = good[:at] + bytes([value]) + good[at + 1 : 76]
    refused(site, backed_up, batch(head + blake3(head).digest(length=8) + good[84:]), sentence)
