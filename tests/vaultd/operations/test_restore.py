"""Restores: only against the proof, throttled, under a ticket, with every byte checked."""

import os
from collections.abc import Sequence
from dataclasses import replace

import msgpack
import pytest

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import PROOF, BackedUp, Site
from vaultd.errors import BadRequest, Damaged, NotAllowed, NotFound, Throttled, Unavailable, WrongPassword
from vaultd.operations import fetch, grants, proofs, restore
from vaultd.operations.grants import Granting
from vaultd.operations.restore import OpenRequest
from vaultd.policy.throttle import Limit
from vaultd.store.errors import DiskMissing, RecordDamaged

WRONG = bytes(32)


def saved(site: Site, backed_up: BackedUp) -> tuple[list[bytes], tuple[bytes, bytes], bytes, bytes]:
    """(chunks, (top block, top companion), payload, root) of a committed safeset."""
    chunks = [backed_up.sealer.record(DATA, os.urandom(size)) for size in (10, 3000, 50_000)]
    top = backed_up.sealer.leaf(chunks)
    site.upload(backed_up, *chunks, *top)
    payload = backed_up.sealer.payload(top)
    root = backed_up.sealer.root(top, payload)
    site.commit(backed_up, root, payload)
    return chunks, top, payload, root


def request(backed_up: BackedUp, **changed: object) -> OpenRequest:
    return replace(OpenRequest(None, "home", backed_up.slot_id, PROOF, 0), **changed)


def test_parameters_are_those_of_the_slot(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    found = restore.parameters(site.vault, backed_up.agent.identity, None, "home")
    (slot,) = found.slots
    assert (slot.slot_id, slot.kind, slot.memory_kib, slot.passes, slot.lanes) == (backed_up.slot_id, 1, 65_536, 3, 1)
    assert slot.salt == backed_up.slot[56:72]
    assert (found.keyring_id, found.safesets_newest) == (backed_up.sealer.keyring_id, 1)


def test_the_proof_opens_the_top_of_the_safeset(site: Site) -> None:
    backed_up = site.ready()
    _, top, payload, root = saved(site, backed_up)
    opened = restore.open_restore(site.vault, backed_up.agent.identity, request(backed_up))
    assert (opened.root, opened.payload) == (root, payload)
    assert (opened.top_block, opened.top_companion) == top
    assert opened.slots == [backed_up.slot] * 2
    assert opened.run_keys == [(backed_up.sealer.key_id, backed_up.sealer.sealed_key)]
    assert opened.vault_time_ns == site.clock.now_ns()


def test_records_come_in_the_asked_order_as_far_as_they_fit(site: Site) -> None:
    backed_up = site.ready()
    chunks, _, _, _ = saved(site, backed_up)
    identity = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, identity, request(backed_up)).ticket
    stream = fetch.open_fetch(site.vault, identity, ticket)
    ids = [id_of(chunks[number]) for number in (2, 0, 1, 0)]
    first = stream.fetch(ids, 1)
    assert first.records == [chunks[2]]
    assert first.keys == [(backed_up.sealer.key_id, backed_up.sealer.sealed_key)]
    second = stream.fetch(ids[1:], 1 << 20)
    assert second.records == [chunks[0], chunks[1], chunks[0]]
    assert second.keys == []


def test_an_id_that_is_not_here_is_named(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    identity = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, identity, request(backed_up)).ticket
    assert fetch.open_fetch(site.vault, identity, ticket).fetch([b"a" * 32], 100).records == ["missing"]
    with pytest.raises(BadRequest, match="4097 are more than 4096"):
        fetch.open_fetch(site.vault, identity, ticket).fetch([bytes(32)] * 4097, 100)


def test_an_id_on_a_disk_that_is_away_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    backed_up = site.ready()
    chunks, _, _, _ = saved(site, backed_up)
    identity = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, identity, request(backed_up)).ticket
    stream = fetch.open_fetch(site.vault, identity, ticket)

    def away(*_: object) -> bytes:
        raise DiskMissing("disk 64 is offline")

    monkeypatch.setattr(site.vault.store, "read", away)
    assert stream.fetch([id_of(chunks[1])], 1 << 20).records == ["offline"]
    with pytest.raises(Unavailable, match="the list of files .* is on a disk that is offline"):
        restore.open_restore(site.vault, identity, request(backed_up))


def test_damaged_bytes_are_never_returned(site: Site) -> None:
    backed_up = site.ready()
    chunks, _, _, _ = saved(site, backed_up)
    identity = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, identity, request(backed_up)).ticket
    changed = 0
    for path in site.config.directory.rglob("*.container"):
        data = bytearray(path.read_bytes())
        at = data.find(chunks[1][84:])
        if at >= 0:
            data[at + 1000] ^= 1
            path.write_bytes(data)
            changed += 1
    assert changed == 1
    stream = fetch.open_fetch(site.vault, identity, ticket)
    ids = [id_of(chunks[number]) for number in (1, 0, 1, 2)]
    given = stream.fetch(ids, 1 << 20).records
    assert given == ["damaged", chunks[0], "missing", chunks[2]] or given == [
        "damaged",
        chunks[0],
        "damaged",
        chunks[2],
    ]


def test_a_wrong_proof_is_refused_and_the_attempts_are_counted(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    identity = backed_up.agent.identity
    for _ in range(10):
        with pytest.raises(WrongPassword):
            restore.open_restore(site.vault, identity, request(backed_up, proof=WRONG))
    with pytest.raises(Throttled) as refused:
        restore.open_restore(site.vault, identity, request(backed_up))
    assert refused.value.hint == "try again in 61 seconds"
    site.clock.advance(61)
    restore.open_restore(site.vault, identity, request(backed_up))


def test_right_proofs_are_not_counted(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    for _ in range(60):
        restore.open_restore(site.vault, backed_up.agent.identity, request(backed_up))


def test_attempts_of_one_account_do_not_slow_another(site: Site) -> None:
    victim, noisy = site.ready(site.administrator("victim")), site.ready(site.administrator("noisy"))
    saved(site, victim)
    saved(site, noisy)
    for _ in range(11):
        with pytest.raises((WrongPassword, Throttled)):
            restore.open_restore(site.vault, noisy.agent.identity, request(noisy, proof=WRONG))
    restore.open_restore(site.vault, victim.agent.identity, request(victim))


def test_an_account_has_a_limit_over_all_its_jobs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "ACCOUNT_LIMIT", Limit(burst=50, refill_seconds=10.0))
    administrator = site.administrator()
    agent = site.agent(administrator)
    several = [site.keyring(agent, site.job(administrator, agent, f"job{number}")) for number in range(6)]
    wrong = throttled = 0
    for backed_up in several:
        for _ in range(10):
            try:
                restore.open_restore(
                    site.vault, agent.identity, request(backed_up, job=backed_up.job.name, proof=WRONG)
                )
            except WrongPassword:
                wrong += 1
            except Throttled:
                throttled += 1
    assert (wrong, throttled) == (50, 10)


def test_a_ticket_is_bound_to_its_identity_and_a_day(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator, "one")
    sibling = site.agent(administrator, "two")
    saved(site, backed_up)
    identity = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, identity, request(backed_up)).ticket
    with pytest.raises(NotAllowed, match="ticket is unknown or expired"):
        fetch.open_fetch(site.vault, sibling.identity, ticket)
    with pytest.raises(NotAllowed, match="ticket is unknown or expired"):
        fetch.open_fetch(site.vault, identity, bytes(16))
    for _ in range(3):  # it lives from its last use
        site.clock.advance(24 * 3600 - 1)
        fetch.open_fetch(site.vault, identity, ticket)
    site.clock.advance(24 * 3600)
    with pytest.raises(NotAllowed, match="ticket is unknown or expired"):
        fetch.open_fetch(site.vault, identity, ticket)


def test_an_identity_holds_a_bounded_number_of_tickets(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    identity = backed_up.agent.identity
    tickets = [restore.open_restore(site.vault, identity, request(backed_up)).ticket for _ in range(65)]
    with pytest.raises(NotAllowed):
        fetch.open_fetch(site.vault, identity, tickets[0])
    fetch.open_fetch(site.vault, identity, tickets[1])


def test_another_computer_of_the_account_restores_with_the_proof(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator, "dead")
    chunks, _, _, root = saved(site, backed_up)
    replacement = site.agent(administrator, "replacement").identity
    grants.give(site.vault, administrator, Granting("dead", "home", "replacement"), 7)
    opened = restore.open_restore(site.vault, replacement, request(backed_up, computer="dead"))
    assert opened.root == root
    stream = fetch.open_fetch(site.vault, replacement, opened.ticket)
    assert stream.fetch([id_of(chunks[0])], 1).records == [chunks[0]]
    with pytest.raises(WrongPassword):
        restore.open_restore(site.vault, replacement, request(backed_up, computer="dead", proof=WRONG))


def test_for_another_account_nothing_of_it_exists(site: Site) -> None:
    backed_up = site.ready(site.administrator("victim"), "one")
    chunks, _, _, _ = saved(site, backed_up)
    stranger = site.ready(site.administrator("thief"), "two")
    saved(site, stranger)
    thief = stranger.agent.identity
    messages = set()
    for name in ("one", "never"):
        with pytest.raises(NotFound) as refused:
            restore.parameters(site.vault, thief, name, "home")
        messages.add(refused.value.message.replace(name, "NAME"))
        with pytest.raises(NotFound) as refused:
            restore.open_restore(site.vault, thief, request(backed_up, computer=name))
        messages.add(refused.value.message.replace(name, "NAME"))
    assert messages == {"computer 'NAME' does not exist"}
    with pytest.raises(NotFound, match=f"no slot {backed_up.slot_id.hex()}"):
        restore.open_restore(site.vault, thief, request(backed_up))
    ticket = restore.open_restore(site.vault, thief, request(stranger)).ticket
    assert fetch.open_fetch(site.vault, thief, ticket).fetch([id_of(chunks[0])], 1).records == ["missing"]


def test_a_slot_id_prefix_opens_nothing(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    for slot_id in (b"", backed_up.slot_id[:8], backed_up.slot_id + b"\0"):
        with pytest.raises(NotFound):
            restore.open_restore(site.vault, backed_up.agent.identity, request(backed_up, slot_id=slot_id))


def test_without_a_safeset_or_a_keyring_there_is_nothing_to_open(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    with pytest.raises(NotFound, match="job 'home' has no safeset yet"):
        restore.open_restore(site.vault, backed_up.agent.identity, request(backed_up))
    site.job(administrator, backed_up.agent, "later")
    with pytest.raises(NotFound, match="job 'later' has no safeset yet") as caught:
        restore.parameters(site.vault, backed_up.agent.identity, None, "later")
    assert caught.value.hint == "its first run makes one"


def test_one_damaged_copy_of_a_slot_is_survived(site: Site) -> None:
    backed_up = site.ready()
    saved(site, backed_up)
    spoil_slot(site, backed_up, 0)
    identity = backed_up.agent.identity
    assert restore.parameters(site.vault, identity, None, "home").slots[0].slot_id == backed_up.slot_id
    assert restore.open_restore(site.vault, identity, request(backed_up)).slots == [backed_up.slot]
    spoil_slot(site, backed_up, 1)
    with pytest.raises(Damaged, match="no slot of job 'home' can be read"):
        restore.parameters(site.vault, identity, None, "home")
    with pytest.raises(Damaged, match="cannot be read"):
        restore.open_restore(site.vault, identity, request(backed_up))


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("where", ["first", "last"])
def test_the_right_password_opens_while_either_row_of_the_slot_is_whole(site: Site, copy: int, where: str) -> None:
    """The first byte damaged, the row does not decode; the last one damaged, its proof hash is another."""
    backed_up = site.ready()
    saved(site, backed_up)
    key = backed_up.sealer.account_id + backed_up.sealer.keyring_id + backed_up.slot_id + bytes([copy])
    with site.vault.catalog.read() as view:
        value = bytearray(view.get("slots", key) or b"")
    value[0 if where == "first" else -1] ^= 1
    site.vault.catalog.apply([("slots", key, bytes(value))], site.vault.catalog.position())
    identity = backed_up.agent.identity
    assert restore.parameters(site.vault, identity, None, "home").slots[0].slot_id == backed_up.slot_id
    assert backed_up.slot in restore.open_restore(site.vault, identity, request(backed_up)).slots
    with pytest.raises(WrongPassword):
        restore.open_restore(site.vault, identity, request(backed_up, proof=WRONG))


def test_a_computer_that_guesses_does_not_lock_the_others_out(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    saved(site, backed_up)
    guesser = site.agent(administrator, "guesser").identity
    grants.give(site.vault, administrator, Granting("laptop", "home", "guesser"), 7)
    for _ in range(10):
        with pytest.raises(WrongPassword):
            restore.open_restore(site.vault, guesser, request(backed_up, computer="laptop", proof=WRONG))
    with pytest.raises(Throttled):
        restore.open_restore(site.vault, guesser, request(backed_up, computer="laptop"))
    assert restore.open_restore(site.vault, backed_up.agent.identity, request(backed_up)).ticket


def spoil_slot(site: Site, backed_up: BackedUp, copy: int) -> None:
    """Flips a bit in the wrapped bytes of one copy, as a bad sector below LMDB would."""
    key = backed_up.sealer.account_id + backed_up.sealer.keyring_id + backed_up.slot_id + bytes([copy])
    with site.vault.catalog.read() as view:
        value = view.get("slots", key)
    assert value is not None
    damaged = bytearray(value)
    damaged[150] ^= 1
    site.vault.catalog.apply([("slots", key, bytes(damaged))], site.vault.catalog.position())


def test_a_damaged_row_of_the_index_costs_its_own_record(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of the payload, which a restore can do without."""
    backed_up = site.ready()
    chunks, _, _, _ = saved(site, backed_up)
    real, store, lost = site.vault.store.locate, site.vault.store, [id_of(chunks[1])]

    def locate(keyring_id: bytes, ids: Sequence[bytes]) -> object:
        if lost[0] in ids:
            raise RecordDamaged(f"the index row of record {lost[0].hex()} is damaged")
        return real(keyring_id, ids)

    monkeypatch.setattr(store, "locate", locate)
    identity = backed_up.agent.identity
    opened = restore.open_restore(site.vault, identity, request(backed_up))
    stream = fetch.open_fetch(site.vault, identity, opened.ticket)
    given = stream.fetch([id_of(chunk) for chunk in chunks[:3]], 1 << 20).records
    assert given == [chunks[0], "damaged", chunks[2]]
    with site.vault.catalog.read() as view:
        (row,) = list(view.scan("safesets"))
    lost[0] = msgpack.unpackb(row[1])[7]
    opened = restore.open_restore(site.vault, identity, request(backed_up))
    assert (opened.payload, len(opened.top_block) > 0) == (b"", True)


def test_a_turn_looks_at_so_many_ids_only(site: Site) -> None:
    """Thousands that are lost would hold a thread for as long as a dying disk takes for all of them."""
    backed_up = site.ready()
    saved(site, backed_up)
    identity = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, identity, request(backed_up)).ticket
    stream = fetch.open_fetch(site.vault, identity, ticket)
    assert stream.fetch([bytes(32)] * 4096, 1 << 20).records == ["missing"] * 256
